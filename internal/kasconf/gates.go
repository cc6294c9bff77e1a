package kasconf

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"kasgen/internal/diag"
)

// WebsocketTokenKey is the key of the secret of tokens for WebSocket.
const WebsocketTokenKey = "agent.kubernetes_api.websocket_token_secret_file"

// Version is a version of GitLab's kas.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads "18.5.0", "18.5" or "v18.5.0".
func ParseVersion(text string) (Version, error) {
	var v Version
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if i >= len(parts) && i == 2 {
			break
		}
		if i >= len(parts) || len(parts) > 3 {
			return Version{}, fmt.Errorf("%q is not a version", text)
		}
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("%q is not a version", text)
		}
		*into = int(n)
	}
	return v, nil
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Less says whether v is older than w.
func (v Version) Less(w Version) bool {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)) < 0
}

// Gate says which versions of kas have a key.
type Gate struct {
	Key      string
	Since    Version // the first version that has it; zero: all
	Until    Version // the first version that has it no more; zero: none
	Required Version // the first version that does not start without it; zero: none
}

// Gates lists the keys that not every version since 16 has. kas refuses a
// file with a key that it does not know.
func Gates() []Gate {
	return []Gate{
		// gitlab-agent !2024 added it, !2441 made it required.
		{Key: WebsocketTokenKey, Since: Version{Major: 17}, Required: Version{Major: 18}},
		{Key: "agent.gitops", Until: Version{Major: 17}},
		{Key: "agent.receptive_agent", Since: Version{Major: 17}},
		// gitlab-agent !2806.
		{Key: "agent.kubernetes_api.extra_allowed_response_headers", Since: Version{Major: 18, Minor: 3}},
	}
}

// Has says whether kas of version v knows key.
func (v Version) Has(key string) bool {
	for _, g := range Gates() {
		if g.Key == key && (v.Less(g.Since) || g.Until != (Version{}) && !v.Less(g.Until)) {
			return false
		}
	}
	return true
}

// Requires says whether kas of version v does not start without key.
func (v Version) Requires(key string) bool {
	for _, g := range Gates() {
		if g.Key == key && g.Required != (Version{}) && !v.Less(g.Required) {
			return true
		}
	}
	return false
}

// CheckGitLab says why GitLab's kas of version v would refuse f, which Read
// accepted.
func (f *File) CheckGitLab(v Version) diag.Findings {
	var fs diag.Findings
	if f.Redis == nil {
		fs.Add(diag.Finding{Code: CodeGitLabRedis, Field: "redis", What: "redis is not set",
			Why: "GitLab's kas keeps its tunnels in Redis and does not start without it", Fix: "set redis.server.address"})
	}
	for _, g := range Gates() {
		set := f.has(g.Key)
		parent, _, _ := cutLast(g.Key)
		switch {
		case set && !v.Has(g.Key):
			fs.Add(diag.Finding{Code: CodeGate, Field: g.Key, What: fmt.Sprintf("kas %s does not have %s", v, g.Key),
				Why: "kas refuses a file with a key that it does not know", Fix: "remove it, or name the version of kas that you run"})
		case !set && v.Requires(g.Key) && f.has(parent):
			fs.Add(diag.Finding{Code: CodeGatedNeed, Field: g.Key, What: fmt.Sprintf("kas %s requires %s", v, g.Key),
				Why: "kas does not start without it", Fix: "set it"})
		}
	}
	return fs
}

func cutLast(key string) (parent, name string, ok bool) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return "", key, false
	}
	return key[:i], key[i+1:], true
}

// has says whether f sets the field at a dotted path.
func (f *File) has(path string) bool {
	text, err := json.Marshal(f)
	if err != nil {
		return false
	}
	node := any(map[string]any{})
	if json.Unmarshal(text, &node) != nil {
		return false
	}
	for name := range strings.SplitSeq(path, ".") {
		m, ok := node.(map[string]any)
		if !ok {
			return false
		}
		if node, ok = m[name]; !ok || node == nil {
			return false
		}
	}
	return true
}

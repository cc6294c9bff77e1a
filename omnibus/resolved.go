package omnibus

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Resolved are the settings that Omnibus last worked with: what gitlab.rb said,
// roles and defaults included. They hold secrets; nothing here prints one.
type Resolved struct {
	File string // where they were read
	tree map[string]any
	// now says that they are of gitlab.rb as it is, whatever has run.
	now bool
}

// nodes is where chef keeps a node's attributes after a run.
const nodes = "opt/gitlab/embedded/nodes"

// ReadResolved reads a node's attributes, or what `gitlab-ctl show-config`
// printed. Without a file it looks for those of the machine below root; where
// there are none, because no reconfigure has run, it gives nil.
func ReadResolved(file, root string) (*Resolved, error) {
	if file == "" {
		list, err := filepath.Glob(filepath.Join(root, nodes, "*.json"))
		if err != nil {
			return nil, err
		}
		if file, err = newest(list); err != nil || file == "" {
			return nil, err
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParseResolved(file, data)
}

// newest is the file that was written last, or nothing.
func newest(list []string) (string, error) {
	found, last := "", int64(0)
	for _, path := range list {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if at := info.ModTime().UnixNano(); found == "" || at > last {
			found, last = path, at
		}
	}
	return found, nil
}

// ParseResolved reads a node's JSON or that of show-config, before which there
// may be lines of a log.
func ParseResolved(file string, data []byte) (*Resolved, error) {
	text := string(data)
	if i := strings.Index(text, "{"); i > 0 && strings.TrimSpace(text[:i]) != "" {
		i = strings.Index(text, "\n{")
		if i < 0 {
			return nil, fmt.Errorf("%s holds no JSON", file)
		}
		text = text[i+1:]
	}
	var node map[string]any
	// What follows the object is a log's as well.
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&node); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := &Resolved{File: file, tree: map[string]any{}}
	_, leveled := node["normal"].(map[string]any)
	if !leveled {
		r.merge(node)
		return r, nil
	}
	for _, level := range []string{"default", "normal", "override"} {
		if m, ok := node[level].(map[string]any); ok {
			r.merge(m)
		}
	}
	return r, nil
}

// merge lays m over what is known. Services are at the top or below gitlab, and
// their names are written with hyphens or with underscores.
func (r *Resolved) merge(m map[string]any) {
	for key, v := range m {
		if below, ok := v.(map[string]any); ok && key == "gitlab" {
			r.merge(below)
			continue
		}
		name := strings.ReplaceAll(key, "-", "_")
		r.tree[name] = lay(r.tree[name], v)
	}
}

func lay(under, over any) any {
	a, ok := under.(map[string]any)
	b, also := over.(map[string]any)
	if !ok || !also {
		return over
	}
	for k, v := range b {
		a[k] = lay(a[k], v)
	}
	return a
}

// at is what a key of gitlab.rb holds, or nil.
func (r *Resolved) at(key ...string) any {
	var v any = r.tree
	for _, k := range key {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// text is what a key holds where that is a text, without what kasgen added.
func (r *Resolved) text(key ...string) string {
	s, _ := r.at(key...).(string)
	return unmarked(s)
}

// unmarked is a text without ours: a second run must not take its own output
// for somebody's.
func unmarked(s string) string {
	for {
		before, rest, ok := strings.Cut(s, markBegin+"\n")
		if !ok {
			return strings.TrimSuffix(s, "\n")
		}
		_, after, ok := strings.Cut(rest, markEnd)
		if !ok {
			return s // not as it was written
		}
		s = before + strings.TrimPrefix(after, "\n")
	}
}

// secret is how many bytes a secret has, without saying which; -1 where there
// is none that can be decoded.
func (r *Resolved) secret(key ...string) int {
	s, ok := r.at(key...).(string)
	if !ok {
		return -1
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return -1
	}
	return len(b)
}

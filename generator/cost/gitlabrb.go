package cost

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What kasgen.rb consists of, which is kasgen's own: comments above one statement
// each, and an empty line between two.
var (
	gitlabKey  = regexp.MustCompile(`(?s)^([a-z_0-9]+(?:\['[^']+'\])*)(?: = | )(.+)$`)
	gitlabCall = regexp.MustCompile(`(?s)^kasgen_(?:text|list)\.call\(([^,]+), '([^']+)', (.+)\)$`)
	gitlabText = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'`)
)

// readKeys reads keys of gitlab.rb into fixed, by key.
func readKeys(f *facts, _ string, data []byte) error {
	for paragraph := range strings.SplitSeq(string(data), "\n\n") {
		for strings.HasPrefix(paragraph, "#") {
			_, paragraph, _ = strings.Cut(paragraph, "\n")
		}
		paragraph = strings.TrimSpace(paragraph)
		if m := gitlabCall.FindStringSubmatch(paragraph); m != nil {
			f.fixed[m[1]+"['"+m[2]+"']"] = m[3]
		} else if m := gitlabKey.FindStringSubmatch(paragraph); m != nil && !strings.HasPrefix(m[1], "kasgen_") {
			f.fixed[m[1]] = m[2]
			f.key(m[1], m[2])
		} else if paragraph != "" && m == nil {
			first, _, _ := strings.Cut(paragraph, "\n")
			f.unread = append(f.unread, "it has a line that kasgen does not write: "+first)
		}
	}
	var form strings.Builder
	for _, key := range slices.Sorted(maps.Keys(f.fixed)) {
		writeWords(&form, []string{key, f.fixed[key]})
	}
	f.form = form.String()
	return nil
}

// key takes what a key of kas's own vhost says.
func (f *facts) key(key, value string) {
	name, ok := strings.CutPrefix(key, "gitlab_kas['nginx']")
	if !ok {
		if name, ok = strings.CutPrefix(key, "gitlab_kas_nginx"); !ok {
			return
		}
	}
	texts := func() (all []string) {
		for _, m := range gitlabText.FindAllStringSubmatch(value, -1) {
			all = append(all, m[1])
		}
		return all
	}
	switch name {
	case "['enable']":
		f.carries = value == "true"
	case "['host']":
		f.names = append(f.names, texts()...)
	case "['ssl_certificate']", "['ssl_certificate_key']":
		f.certs = append(f.certs, texts()...)
	}
}

// part is what a key is of: who takes a change of it in, and how.
type gitlabPart struct {
	program string
	action  Action
}

func gitlabParts(key string) []gitlabPart {
	nginx := gitlabPart{"GitLab's nginx", Restart}
	switch {
	case strings.HasPrefix(key, "gitlab_kas['nginx']"), strings.HasPrefix(key, "gitlab_kas_nginx"), strings.HasPrefix(key, "gitlab_rails['nginx']"), strings.HasPrefix(key, "nginx["):
		return []gitlabPart{nginx}
	case strings.HasPrefix(key, "gitlab_kas["):
		return []gitlabPart{{"GitLab's kas", Restart}}
	case key == "gitlab_kas_external_url":
		return []gitlabPart{{"GitLab's Rails", Restart}, nginx}
	case strings.HasPrefix(key, "letsencrypt"):
		return []gitlabPart{{"Let's Encrypt's certificate", Reload}}
	default:
		return []gitlabPart{{"GitLab's Rails", Restart}}
	}
}

// keys adds what the next `gitlab-ctl reconfigure` does when keys differ. all
// are the facts of every file before: GitLab's nginx may carry streams by any.
func (r *Report) keys(file string, old, fresh *facts, all map[string]*facts) {
	if old == nil {
		old = &facts{}
	}
	if fresh == nil {
		fresh = &facts{}
	}
	changed := map[gitlabPart][]string{}
	var order []gitlabPart
	for _, key := range union(old.fixed, fresh.fixed) {
		if old.fixed[key] == fresh.fixed[key] {
			continue
		}
		for _, p := range gitlabParts(key) {
			if changed[p] == nil {
				order = append(order, p)
			}
			changed[p] = append(changed[p], key)
		}
	}
	if len(order) == 0 {
		role := Role{File: file, Program: programKeys, Action: Nothing, Why: []string{}}
		if old.text != fresh.text {
			role.Why = append(role.Why, "only comments and layout differ")
		}
		r.Roles = append(r.Roles, role)
		return
	}
	through := slices.ContainsFunc(slices.Collect(maps.Values(all)), func(f *facts) bool {
		return f.carries && (f.program == programGuest || f.program == programKeys)
	})
	for _, p := range order {
		why := append([]string{p.program + ", by gitlab-ctl reconfigure: " + strings.Join(changed[p], ", ")}, fresh.unread...)
		r.Roles = append(r.Roles, Role{File: file, Program: p.program, Action: p.action, Why: why})
		if p.action == Restart && (p.program == "GitLab's kas" || p.program == "GitLab's nginx" && through) {
			loss := Loss{File: file, When: "with gitlab-ctl reconfigure", Why: p.program + " is restarted"}
			r.Agents, r.Streams = append(r.Agents, loss), append(r.Streams, loss)
		}
	}
}

// onlyOurs forgets names in files for GitLab's nginx that are not kas's: a vhost
// that redirects GitLab's own name too is not who serves it.
func onlyOurs(all map[string]*facts, files map[string][]byte) {
	m := readManifest(files)
	if m == nil || m.Names == nil {
		return
	}
	for _, f := range all {
		if f.program == programGuest {
			f.names = slices.DeleteFunc(f.names, func(name string) bool {
				return !strings.EqualFold(name, m.Names.KAS.Name) && (m.Names.GRPC == nil || !strings.EqualFold(name, m.Names.GRPC.Name))
			})
		}
	}
}

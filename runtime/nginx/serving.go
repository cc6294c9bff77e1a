package nginx

import (
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// Serving is f, with its includes expanded, for some names alone: http{} keeps
// the servers that have one of them, and the upstreams that those pass to. left
// are the servers that it has lost.
func Serving(f *nginxconf.File, names []string) (kept *nginxconf.File, left []*nginxconf.Directive) {
	out := *f
	out.Directives = nil
	for _, d := range f.Directives {
		if d.Name.Value == "http" && d.Block != nil {
			own, block := *d, *d.Block
			block.Directives, left = servers(d.Block.Directives, names)
			own.Block, d = &block, &own
		}
		out.Directives = append(out.Directives, d)
	}
	return &out, left
}

// Serves tells whether http{} of f, with its includes expanded, has a server.
func Serves(f *nginxconf.File) bool {
	return slices.ContainsFunc(f.Directives, func(d *nginxconf.Directive) bool {
		return d.Name.Value == "http" && d.Block != nil && slices.ContainsFunc(d.Block.Directives, func(s *nginxconf.Directive) bool {
			return s.Name.Value == "server"
		})
	})
}

func servers(http []*nginxconf.Directive, names []string) (kept, left []*nginxconf.Directive) {
	used, unknown := map[string]bool{}, false
	for _, d := range http {
		if d.Name.Value == "server" && d.Block != nil && !has(d, names) {
			left = append(left, d)
			continue
		}
		kept = append(kept, d)
		if d.Name.Value == "server" && d.Block != nil {
			passes(d.Block.Directives, used)
		}
	}
	for name := range used {
		unknown = unknown || strings.Contains(name, "$") // whatever the variable holds
	}
	kept = slices.DeleteFunc(kept, func(d *nginxconf.Directive) bool {
		return d.Name.Value == "upstream" && len(d.Args) == 1 && !unknown && !used[d.Args[0].Value]
	})
	return kept, left
}

// has tells whether a server has one of the names.
func has(server *nginxconf.Directive, names []string) bool {
	return slices.ContainsFunc(server.Block.Directives, func(d *nginxconf.Directive) bool {
		return d.Name.Value == "server_name" && slices.ContainsFunc(d.Args, func(w nginxconf.Word) bool {
			return slices.Contains(names, strings.ToLower(w.Value))
		})
	})
}

// passes notes the names that a block's locations pass to.
func passes(ds []*nginxconf.Directive, used map[string]bool) {
	for _, d := range ds {
		if d.Block != nil {
			passes(d.Block.Directives, used)
		}
		if !strings.HasSuffix(d.Name.Value, "_pass") || len(d.Args) != 1 {
			continue
		}
		_, to, ok := strings.Cut(d.Args[0].Value, "://")
		if !ok {
			to = d.Args[0].Value
		}
		to, _, _ = strings.Cut(to, "/")
		used[to] = true
	}
}

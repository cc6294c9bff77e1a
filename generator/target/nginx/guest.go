package nginx

import (
	"bytes"
	"slices"

	"kasgen/generator/target"
	"kasgen/generator/topology"
)

// Guest is what vhosts need to know of an http{} that is not theirs.
type Guest struct {
	Prefix         string // of the names of variables and upstreams, which are everybody's
	Log, LogFormat string // file of access logs, and its format's name
	Challenges     string // directory of challenges for others' certificates; empty: none
	Ciphers        string // of TLS 1.2
}

// Include is the vhosts of a topology for an include in somebody else's http{}:
// without a vhost for other names, which are not ours there, and without
// options of sockets. A topology without vhosts has none.
func Include(t topology.Topology, g Guest) ([]byte, error) {
	if t.Web == nil {
		return nil, nil
	}
	named := *t.Web
	named.Upstreams, named.Sites = slices.Clone(named.Upstreams), slices.Clone(named.Sites)
	for i := range named.Upstreams {
		named.Upstreams[i].Name = g.upstream(named.Upstreams[i].Name)
	}
	for i, s := range named.Sites {
		s.Routes = slices.Clone(s.Routes)
		for j := range s.Routes {
			s.Routes[j].Upstream = g.upstream(s.Routes[j].Upstream)
		}
		named.Sites[i] = s
	}
	t.Web = &named
	v, err := webOf(t)
	if err != nil {
		return nil, err
	}
	v.Guest, v.Defaults = g, nil
	if v.Redirect != nil {
		v.Redirect.Default = nil
	}
	data, err := target.Execute("nginx/http.tmpl", word, v)
	if err != nil {
		return nil, err
	}
	// The template's text is inside http{}.
	data = bytes.ReplaceAll(data, []byte("\n    "), []byte("\n"))
	return append(append([]byte("# "+v.Header+"\n"), bytes.TrimLeft(data, "\n")...), '\n'), nil
}

func (g Guest) upstream(name string) string {
	if name == "" {
		return ""
	}
	return g.Prefix + name
}

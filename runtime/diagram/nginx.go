package diagram

import (
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// block is directives with those of the blocks around them.
type block struct {
	directives []*nginxconf.Directive
	outer      *block
}

// all are the directives of a name in the block itself.
func (b *block) all(name string) []*nginxconf.Directive {
	var out []*nginxconf.Directive
	for _, d := range b.directives {
		if d.Name.Value == name {
			out = append(out, d)
		}
	}
	return out
}

// get is a directive's arguments, of the innermost block that has it.
func (b *block) get(name string) []string {
	for ; b != nil; b = b.outer {
		if found := b.all(name); len(found) > 0 {
			return arguments(found[0])
		}
	}
	return nil
}

func (b *block) inner(d *nginxconf.Directive) *block {
	return &block{directives: d.Block.Directives, outer: b}
}

func arguments(d *nginxconf.Directive) []string {
	var out []string
	for _, w := range d.Args {
		out = append(out, w.Value)
	}
	return out
}

// section is the block of a name in the main context, nil if there is none.
func section(f *nginxconf.File, name string) *block {
	main := &block{directives: f.Directives}
	for _, d := range main.all(name) {
		if d.Block != nil {
			return main.inner(d)
		}
	}
	return nil
}

// servers are the addresses of an upstream, or the address itself.
func (b *block) servers(name string) []string {
	for ; b != nil; b = b.outer {
		for _, d := range b.all("upstream") {
			if d.Block == nil || len(d.Args) == 0 || d.Args[0].Value != name {
				continue
			}
			var out []string
			for _, s := range b.inner(d).all("server") {
				out = append(out, arguments(s)[0])
			}
			return out
		}
	}
	return []string{name}
}

// listen reads the listen lines of a server into b, and says whether TLS ends
// there.
func (b *Box) listens(s *block) (tls bool) {
	for _, d := range s.all("listen") {
		w := arguments(d)
		address := w[0]
		if !strings.Contains(address, ":") {
			address = "0.0.0.0:" + address
		}
		b.listen = append(b.listen, address)
		line := "listens on " + address
		if slices.Contains(w, "proxy_protocol") {
			line += ", takes a PROXY header"
		}
		b.fact(line)
		tls = tls || slices.Contains(w, "ssl")
	}
	return tls
}

// streamBoxes are the servers of stream{}.
func streamBoxes(file string, f *nginxconf.File) []*Box {
	stream := section(f, "stream")
	if stream == nil {
		return nil
	}
	var boxes []*Box
	for i, d := range stream.all("server") {
		s := stream.inner(d)
		b := &Box{Title: "nginx: stream", From: file}
		if i > 0 {
			b.Title += " " + strings.TrimPrefix(ports(addressesOf(s)), "port ")
		}
		if b.listens(s) {
			b.fact("ends TLS" + alpn(s.get("ssl_alpn")))
		} else {
			b.fact("TLS passes")
		}
		carries := "TCP"
		if on(s, "proxy_ssl") {
			carries += ", TLS"
		}
		if on(s, "proxy_protocol") {
			carries += ", PROXY v1"
		}
		if to := s.get("proxy_pass"); len(to) > 0 {
			b.Rows = append(b.Rows, stream.ways(s, to[0], carries)...)
		}
		for _, r := range s.get("return") {
			b.Rows = append(b.Rows, Row{Match: "everything", Answer: r})
		}
		boxes = append(boxes, b)
	}
	return boxes
}

func addressesOf(s *block) []string {
	var out []string
	for _, d := range s.all("listen") {
		out = append(out, arguments(d)[0])
	}
	return out
}

func on(b *block, name string) bool {
	w := b.get(name)
	return len(w) > 0 && w[0] == "on"
}

func alpn(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ", ALPN " + strings.Join(list, ", ")
}

// ways are where a proxy_pass leads: one, or as many as the map behind its
// variable has.
func (b *block) ways(s *block, to, carries string) []Row {
	name, variable := strings.CutPrefix(to, "$")
	if !variable {
		return []Row{{Match: "everything", Carries: carries, addresses: s.servers(to)}}
	}
	var rows []Row
	var last *Row
	for _, d := range b.all("map") {
		w := arguments(d)
		if d.Block == nil || len(w) != 2 || w[1] != "$"+name {
			continue
		}
		what := map[string]string{"$ssl_preread_server_name": "SNI ", "$ssl_preread_alpn_protocols": "ALPN ", "$ssl_server_name": "SNI "}[w[0]]
		if what == "" {
			what = w[0] + " "
		}
		for _, e := range b.inner(d).directives {
			if len(e.Args) != 1 {
				continue // a parameter of map, such as hostnames
			}
			r := Row{Match: what + e.Name.Value, Carries: carries, addresses: s.servers(e.Args[0].Value)}
			if e.Name.Value == "default" {
				r.Match = "everything else"
				last = &r
				continue
			}
			rows = append(rows, r)
		}
	}
	if last != nil {
		rows = append(rows, *last)
	}
	return rows
}

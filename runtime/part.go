package runtime

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/provision"
	"kasgen/runtime/host"
	"kasgen/runtime/kas"
	"kasgen/runtime/nginx"
)

// part is a file of the bundle as a role that can be made. A bundle that is
// read again makes those parts anew that are not what they were.
type part struct {
	name  string
	data  []byte   // the file, and what it includes
	files []string // secrets and certificates that make reads
	front bool     // it runs on the front's host
	make  func(ctx context.Context, h *host.Host, r *Running) (server, error)
}

// parts are in the order in which they are started: kas before the edge that
// hands connections to it, and the front last.
func (b *Bundle) parts() []part {
	var parts []part
	var made *provision.Server // of this generation
	if b.provisions() {
		parts = append(parts, part{name: string(Certs), data: b.data[certsFile], files: b.certs.Files(),
			make: func(ctx context.Context, h *host.Host, r *Running) (_ server, err error) {
				made, err = b.certs.New(ctx, h, r.refresh, r.Status)
				return made, err
			}})
	}
	if b.kas != nil {
		parts = append(parts, part{name: "kas", data: b.data[kasFile], files: b.kas.Files(),
			make: func(ctx context.Context, h *host.Host, r *Running) (server, error) {
				if r.kas == nil {
					r.kas = kas.NewShared(h)
				}
				return b.kas.NewWith(ctx, h, r.version, r.kas)
			}})
	}
	if b.edge != nil {
		p := part{name: "edge", data: b.data[edgeFile], files: b.edge.Files(),
			make: func(ctx context.Context, h *host.Host, r *Running) (server, error) {
				return b.edge.NewWith(ctx, h, r.local.find, func(path string) (certs.Source, bool) {
					by := made
					if kept := r.role(string(Certs)); by == nil && kept != nil {
						by, _ = kept.server.(*provision.Server)
					}
					if by == nil || !b.Obtained(path) {
						return nil, false
					}
					return by.Source(), true
				})
			}}
		if b.provisions() {
			// It has its certificates from who obtains them, and is made anew
			// with it.
			p.data = slices.Concat(p.data, b.data[certsFile])
			p.files = append(slices.DeleteFunc(p.files, b.Obtained), b.certs.Files()...)
		}
		parts = append(parts, p)
	}
	if of := b.combines(); len(of) > 0 {
		p := part{name: "combined certificates", data: fmt.Appendf(nil, "%q", of), front: true,
			make: func(_ context.Context, h *host.Host, r *Running) (server, error) {
				return newCombiner(h, of, r.refresh)
			}}
		parts = append(parts, p)
	}
	if b.scratch != "" {
		return append(parts, b.nativeParts()...)
	}
	if b.haproxy != nil {
		parts = append(parts, part{name: "haproxy", data: b.data[haproxyFile], files: b.haproxy.Files(), front: true,
			make: func(ctx context.Context, h *host.Host, _ *Running) (server, error) { return b.haproxy.New(ctx, h) }})
	}
	for _, n := range []struct {
		name, file string
		config     *nginx.Config
	}{{"nginx stream", streamFile, b.stream}, {"nginx", webFile, b.web}} {
		if n.config != nil {
			parts = append(parts, part{name: n.name, data: b.data[n.file], files: n.config.Files(), front: true,
				make: func(ctx context.Context, h *host.Host, _ *Running) (server, error) { return n.config.New(ctx, h) }})
		}
	}
	return parts
}

// digest is of everything that the part is made from.
func (p part) digest(h *host.Host) [sha256.Size]byte {
	sum := sha256.New()
	add := func(data []byte) {
		fmt.Fprintf(sum, "%d\n", len(data))
		sum.Write(data)
	}
	add(p.data)
	for _, path := range p.files {
		add([]byte(path))
		data, err := h.ReadFile(path)
		if err != nil {
			// make says so, if it matters.
			data = []byte(err.Error())
		}
		add(data)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

package runtime

import (
	"context"
	"crypto/sha256"
	"fmt"

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
		parts = append(parts, part{name: "edge", data: b.data[edgeFile], files: b.edge.Files(),
			make: func(ctx context.Context, h *host.Host, r *Running) (server, error) {
				return b.edge.New(ctx, h, r.local.find)
			}})
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

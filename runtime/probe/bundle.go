package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/edgeconf"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
	"kasgen/internal/strictyaml"
)

// Bundle is the files of a bundle that can be to blame, each nil where there
// is none.
type Bundle struct {
	lock    *lockfile.File  // manifest
	web     *nginxconf.File // vhosts
	stream  *nginxconf.File // TCP balancer
	haproxy *haproxyconf.File
	edge    *edgeconf.File
	edgeAt  *strictyaml.Doc
	kas     *kasconf.File
	kasAt   *strictyaml.Doc
}

// ReadBundle reads the files of a bundle, as far as they are there. They are
// not judged: faults in what they mean are what a probe is for.
func ReadBundle(dir string) (*Bundle, error) {
	b, found := &Bundle{}, 0
	read := func(name string, parse func(path string, data []byte) error) error {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = parse(path, data)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		found++
		return nil
	}
	err := errors.Join(
		read(lockfile.Name, func(path string, data []byte) (err error) { b.lock, err = lockfile.Read(path, data); return }),
		read("nginx/nginx.conf", func(path string, data []byte) (err error) { b.web, err = parseNginx(path, data); return }),
		read("nginx/stream.conf", func(path string, data []byte) (err error) { b.stream, err = parseNginx(path, data); return }),
		read("haproxy/haproxy.cfg", func(path string, data []byte) (err error) {
			b.haproxy, err = haproxyconf.Parse(path, data)
			return
		}),
		read("edge/edge.yaml", func(path string, data []byte) (err error) {
			b.edge = &edgeconf.File{}
			var found diag.Findings
			b.edgeAt, found = strictyaml.Decode(path, data, b.edge)
			return found.Err()
		}),
		read("kas/kas-config.yaml", func(path string, data []byte) (err error) {
			b.kas = &kasconf.File{}
			b.kasAt, _ = strictyaml.Decode(path, data, b.kas) // keys of a newer kas are not to blame
			return nil
		}),
	)
	if b.lock != nil {
		found-- // by itself it is no file that can be to blame
	}
	if err == nil && found == 0 {
		err = fmt.Errorf("%s holds no file of a bundle", dir)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// parseNginx reads a file with what it includes.
func parseNginx(path string, data []byte) (*nginxconf.File, error) {
	f, err := nginxconf.Parse(path, data)
	if err != nil {
		return nil, err
	}
	f, found := f.Expand(nginxconf.Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
	return f, found.Err()
}

// suspect is a line and what is said about it.
type suspect struct {
	at   diag.Pos
	line string
}

// blame names the line that is likely to have made c what it is. The files are
// looked at in the order in which a connection meets them, and only a line
// that can do what was observed is named.
func (b *Bundle) blame(c *Check, e *endpoint) {
	for _, look := range []func(*Check, *endpoint) *suspect{b.inHAProxy, b.inStream, b.inEdge, b.inWeb, b.inKAS} {
		if s := look(c, e); s != nil {
			c.At, c.Line = &s.at, s.line
			return
		}
	}
}

// inEdge looks at edge.yaml.
func (b *Bundle) inEdge(c *Check, e *endpoint) *suspect {
	if b.edge == nil || len(b.edge.Listeners) == 0 {
		return nil
	}
	for i, l := range b.edge.Listeners {
		field := fmt.Sprintf("listeners[%d].", i)
		at := func(name, line string) *suspect { return &suspect{b.edgeAt.Pos(field + name), line} }
		switch {
		case c.Code == codeProxy:
			return at("proxyProtocol", "the header that the edge asks for")
		case c.Code == codeALPN && l.TLS != nil:
			return at("tls.alpn", "the edge's ALPN, in its order of preference")
		case (c.Code == codeChain || c.Code == codeExpiry || c.Code == codeCertName && slices.Contains(l.ServerNames, e.host)) && l.TLS != nil:
			return at("tls.certificateFile", "the certificate that the edge shows")
		case c.Code == codeCertName && len(l.ServerNames) > 0:
			return at("serverNames", "the names that the edge serves")
		case c.Code == codeGRPC && l.Routes.GRPC == "":
			return at("routes", "there is no route for gRPC")
		case c.Code == codeSPDY:
			return at("routes.paths", "the upgrades that the edge lets through")
		}
	}
	return nil
}

// inKAS looks at kas-config.yaml.
func (b *Bundle) inKAS(c *Check, _ *endpoint) *suspect {
	if b.kas == nil {
		return nil
	}
	at := func(field, line string) *suspect { return &suspect{b.kasAt.Pos(field), line} }
	switch {
	case c.Code == codePrefix:
		return at("agent.kubernetes_api.url_path_prefix", "the prefix that kas takes away")
	case (c.Code == codeWebSocket || c.Code == codeHTTP2Only) && c.cause == causeNone && b.kas.Agent != nil && b.kas.Agent.Listen != nil && !b.kas.Agent.Listen.Websocket:
		return at("agent.listen", "without websocket: true kas takes agents by gRPC only")
	default:
		return nil
	}
}

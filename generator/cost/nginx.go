package cost

import (
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

func readNginx(f *facts, path string, data []byte) error {
	file, err := nginxconf.Parse(path, data)
	if err != nil {
		return err
	}
	var form strings.Builder
	f.nginxBlock(&form, file.Directives)
	f.form = form.String()
	return nil
}

func (f *facts) nginxBlock(form *strings.Builder, directives []*nginxconf.Directive) {
	for _, d := range directives {
		writeWords(form, append([]string{d.Name.Value}, d.Values()...))
		f.nginxDirective(d)
		if d.Block != nil {
			form.WriteString("{\n")
			f.nginxBlock(form, d.Block.Directives)
			form.WriteString("}\n")
		}
	}
}

// nginxDirective takes from a directive what it says. Whatever else it says, a
// reload takes it in, user and load_module included (nginx 1.22).
func (f *facts) nginxDirective(d *nginxconf.Directive) {
	args := d.Values()
	switch d.Name.Value {
	case "server":
		if d.Block != nil {
			f.nginxServer(d.Block)
		}
	case "map":
		if d.Block != nil && len(args) > 0 && args[0] == "$ssl_preread_server_name" {
			f.nginxMap(d.Block)
		}
	case "proxy_pass", "grpc_pass":
		f.carries = true
	case "ssl_certificate", "ssl_certificate_key", "ssl_client_certificate", "ssl_trusted_certificate",
		"proxy_ssl_certificate", "proxy_ssl_certificate_key", "proxy_ssl_trusted_certificate",
		"grpc_ssl_certificate", "grpc_ssl_certificate_key", "grpc_ssl_trusted_certificate":
		f.certs = append(f.certs, args...)
	case "daemon", "master_process":
		f.fixed[d.Name.Value] = strings.Join(args, " ")
	case "worker_shutdown_timeout":
		f.drain, f.drainBy = strings.Join(args, " "), d.Name.Value
	case "include":
		f.unread = append(f.unread, "what it includes is not compared: "+strings.Join(args, " "))
	}
}

// nginxServer takes listeners and names. A server has no name of its own: in
// http{} it is its host names, in stream{} what it passes to.
func (f *facts) nginxServer(b *nginxconf.Block) {
	owner := "server"
	for _, d := range b.Directives {
		switch d.Name.Value {
		case "server_name":
			owner = "server " + strings.Join(d.Values(), " ")
			for _, name := range d.Values() {
				if name != "_" && name != "" && name[0] != '~' {
					f.names = append(f.names, name)
				}
			}
		case "proxy_pass":
			owner = "server to " + strings.Join(d.Values(), " ")
		}
	}
	for _, d := range b.Directives {
		args := d.Values()
		if d.Name.Value != "listen" || len(args) == 0 {
			continue
		}
		address := nginxAddress(args[0])
		f.listen = append(f.listen, listener{address: address, owner: owner})
		for _, option := range args[1:] {
			// Options of the socket that nginx sets only when it opens it.
			if key, _, _ := strings.Cut(option, "="); key == "ipv6only" || key == "setfib" {
				f.fixed["listen "+address+" "+key] = option
			}
		}
	}
}

// nginxMap takes the names by which connections are told apart.
func (f *facts) nginxMap(b *nginxconf.Block) {
	for _, d := range b.Directives {
		if name := d.Name.Value; !slices.Contains([]string{"default", "hostnames", "volatile", "include", ""}, name) && name[0] != '~' {
			f.names = append(f.names, name)
		}
	}
}

// nginxAddress is what listen means by an address: port 80 and every address
// where they are left out.
func nginxAddress(text string) string {
	host, port, found := strings.Cut(text, ":")
	switch {
	case strings.HasPrefix(text, "unix:"):
		return text
	case strings.HasPrefix(text, "["):
		if strings.HasSuffix(text, "]") {
			return text + ":80"
		}
		return text
	case !found && strings.Trim(text, "0123456789") == "":
		return "0.0.0.0:" + text
	case !found:
		return text + ":80"
	case host == "*":
		return "0.0.0.0:" + port
	}
	return text
}

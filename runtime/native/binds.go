package native

import (
	"net"
	"strings"

	"kasgen/internal/haproxyconf"
	"kasgen/internal/nginxconf"
)

// ReadNginx is the Config of an nginx file. It understands no more of it than
// where nginx listens: what is in the file is for nginx to judge.
func ReadNginx(path string, data []byte) (Config, error) {
	f, err := nginxconf.Parse(path, data)
	if err != nil {
		return Config{}, err
	}
	c := Config{Kind: Nginx, Path: path}
	for _, d := range f.Directives {
		if d.Block == nil {
			continue
		}
		c.Stream = c.Stream || d.Name.Value == "stream"
		for _, s := range d.Block.Directives {
			if s.Name.Value != "server" || s.Block == nil {
				continue
			}
			for _, l := range s.Block.Directives {
				if l.Name.Value == "listen" && len(l.Args) > 0 {
					c.add(nginxAddress(l.Args[0].Value))
				}
			}
		}
	}
	return c, nil
}

// nginxAddress is the address of a listen directive, "" for a Unix socket.
func nginxAddress(text string) string {
	switch {
	case strings.HasPrefix(text, "unix:"):
		return ""
	case !strings.Contains(text, ":"):
		return net.JoinHostPort("0.0.0.0", text)
	default:
		return text
	}
}

// ReadHAProxy is the Config of a HAProxy file.
func ReadHAProxy(path string, data []byte) (Config, error) {
	f, err := haproxyconf.Parse(path, data)
	if err != nil {
		return Config{}, err
	}
	c := Config{Kind: HAProxy, Path: path}
	for _, s := range f.Sections {
		for _, l := range s.Lines {
			if l.Words[0].Value != "bind" || len(l.Words) < 2 {
				continue
			}
			for address := range strings.SplitSeq(l.Words[1].Value, ",") {
				if !strings.Contains(address, "/") && !strings.Contains(address, "@") {
					c.add(address)
				}
			}
		}
	}
	return c, nil
}

// add notes an address that can be waited for, once.
func (c *Config) add(address string) {
	for _, have := range c.Binds {
		if have == address {
			return
		}
	}
	if _, _, err := net.SplitHostPort(address); err == nil {
		c.Binds = append(c.Binds, address)
	}
}

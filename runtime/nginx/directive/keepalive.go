package directive

import (
	"net"
	"strings"

	"kasgen/internal/nginxconf"
)

// SystemKeepAlive turns probes on with the kernel's own intervals.
func SystemKeepAlive() *net.KeepAliveConfig {
	return &net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}
}

// KeepAlive reads on, off, or [idle]:[interval]:[count].
func (r *Reader) KeepAlive(w nginxconf.Word, text string) *net.KeepAliveConfig {
	switch text {
	case "on":
		return SystemKeepAlive()
	case "off":
		return &net.KeepAliveConfig{}
	}
	fields := strings.Split(text, ":")
	if len(fields) != 3 || text == "::" {
		r.Arguments(w, "so_keepalive is on, off or [idle]:[interval]:[count]")
		return nil
	}
	c := SystemKeepAlive()
	if fields[0] != "" {
		c.Idle = r.Duration(nginxconf.Word{Value: fields[0], Pos: w.Pos})
	}
	if fields[1] != "" {
		c.Interval = r.Duration(nginxconf.Word{Value: fields[1], Pos: w.Pos})
	}
	if fields[2] != "" {
		c.Count = r.Number(w, fields[2], 1, 127)
	}
	return c
}

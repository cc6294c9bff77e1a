// Package units writes systemd units for a bundle: a service for each role, its
// sockets below port 1024, a target for all of them, and the user that they run
// as. It knows neither what a role does nor how its file looks. Its law: a
// service gets what its role needs and nothing else, and the same bundle gives
// the same bytes.
package units

import (
	"bytes"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"kasgen/templates"
)

// Options are about the machine.
type Options struct {
	Binary   string // absolute path of kasgen
	Bundle   string // absolute path of the bundle
	StateDir string // the bundle's, absolute
	User     string
	// Systemd is the version that reads the units.
	Systemd int
	// Reload are commands that have programs of somebody else's read
	// certificates again, and Watch the files that these are in. Without one of
	// the two nothing of the kind is written.
	Reload, Watch []string
}

// Role is one service.
type Role struct {
	Name        string // as --role has it
	Description string
	Listen      []string // addresses of its file
	Flags       []string // of run, beside --role
	Writes      []string // directories beside the state directory
	Drain       time.Duration
	// Connections at once, 0 if no file says; each may have another one behind
	// it.
	Connections int
}

// File is a file for /etc/systemd/system, or for sysusers.d.
type File struct {
	Name string
	Data []byte
}

// header is the first line of every file, by which a later run knows its own.
const header = "Written by `kasgen units`; write it again rather than change it, or use `systemctl edit`."

// Figures of services.
const (
	// slack is what a service gets to end after it has drained.
	slack = 15 * time.Second
	// spare descriptors are for listeners, logs, health checks and GitLab.
	spare = 1000
	// unknown is systemd's own hard limit.
	unknown = 524288
	// privileged is the first port that needs no privilege.
	privileged = 1024
	// notifyReload is the version of systemd that knows Type=notify-reload.
	notifyReload = 253
)

// Render writes the units of roles, in the order in which they start.
func Render(o Options, roles []Role) ([]File, error) {
	for _, word := range slices.Concat([]string{o.Binary, o.Bundle, o.StateDir, o.User}, o.Reload, o.Watch) {
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("%q cannot be written into a unit", word)
		}
	}
	var files []File
	var names, services []string
	for _, r := range roles {
		name := "kasgen-" + r.Name
		if r.Name == "all" {
			name = "kasgen"
		}
		v := service(o, r, name)
		v.Header, v.After = header, slices.Clone(services)
		if v.Socket != "" {
			low, only := below1024(r.Listen)
			data, err := execute("socket.tmpl", map[string]any{"Header": header, "Description": r.Description, "Listen": low, "OnlyIPv6": only, "Name": r.Name})
			if err != nil {
				return nil, err
			}
			files = append(files, File{v.Socket, data})
			names = append(names, v.Socket)
		}
		data, err := execute("service.tmpl", v)
		if err != nil {
			return nil, err
		}
		files = append(files, File{name + ".service", data})
		names, services = append(names, name+".service"), append(services, name+".service")
	}
	if len(o.Reload) > 0 && len(o.Watch) > 0 {
		for name, v := range map[string]map[string]any{"path": {"Watch": specifiers(o.Watch), "Before": services}, "service": {"Commands": specifiers(o.Reload)}} {
			v["Header"] = header
			data, err := execute("reload."+name+".tmpl", v)
			if err != nil {
				return nil, err
			}
			files = append(files, File{"kasgen-reload." + name, data})
		}
		names = append(names, "kasgen-reload.path")
	}
	target, err := execute("target.tmpl", map[string]any{"Header": header, "Bundle": specifier(o.Bundle), "Units": names})
	if err != nil {
		return nil, err
	}
	files = append(files, File{"kasgen.target", target})
	if len(roles) > 0 {
		user, err := execute("sysusers.tmpl", map[string]any{"Header": header, "User": o.User, "Home": specifier(o.StateDir)})
		if err != nil {
			return nil, err
		}
		files = append(files, File{"kasgen.sysusers.conf", user})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// values is what the template of a service places.
type values struct {
	Header, Description, Socket, Command, User string
	After                                      []string
	NotifyReload                               bool
	Stop, StopReason                           string
	Files                                      int
	FilesReason                                string
	StateDirectory, StatePath, ProtectHome     string
	Writes                                     []string
	CapabilityReason                           string
}

func service(o Options, r Role, name string) values {
	v := values{
		Description: r.Description, User: o.User, NotifyReload: o.Systemd >= notifyReload,
		Command:          strings.Join(append([]string{argument(o.Binary), "run", argument(o.Bundle), "--role", r.Name}, r.Flags...), " "),
		Stop:             (r.Drain + slack).Truncate(time.Second).String(),
		StopReason:       fmt.Sprintf("Streams live on for %s after SIGTERM.", r.Drain),
		CapabilityReason: "No port below 1024 is opened.",
		ProtectHome:      "yes",
	}
	if r.Drain == 0 {
		v.Stop, v.StopReason = "infinity", "Streams live on after SIGTERM as long as they like: the file sets no limit."
	}
	v.Files, v.FilesReason = unknown, "No file of this role says how many connections there may be."
	if r.Connections > 0 {
		// The client's, the one behind it, and a pipe for every fourth, in
		// which bytes are spliced.
		v.Files = r.Connections*5/2 + spare
		v.FilesReason = fmt.Sprintf("Two and a half for each of %d connections.", r.Connections)
	}
	if rest, ok := strings.CutPrefix(path.Clean(o.StateDir), "/var/lib/"); ok && !strings.ContainsAny(rest, " %\"'\\:") {
		v.StateDirectory = rest
	} else {
		v.StatePath = quote("-" + o.StateDir)
	}
	for _, dir := range r.Writes {
		if dir != o.StateDir && !strings.HasPrefix(dir, o.StateDir+"/") {
			v.Writes = append(v.Writes, quote("-"+dir))
		}
	}
	// A service cannot read what is hidden from it.
	for _, hidden := range []string{"/home/", "/root/", "/run/user/"} {
		if strings.HasPrefix(o.Bundle+"/", hidden) || strings.HasPrefix(o.Binary, hidden) || strings.HasPrefix(o.StateDir+"/", hidden) {
			v.ProtectHome = "read-only"
		}
	}
	if low, _ := below1024(r.Listen); len(low) > 0 {
		v.Socket = name + ".socket"
		v.CapabilityReason = "Ports below 1024 come from " + v.Socket + ", open."
	}
	return v
}

// below1024 are the addresses whose ports need a privilege, and whether those
// of IPv6 leave IPv4 alone.
func below1024(addresses []string) (low []string, onlyIPv6 bool) {
	for _, a := range addresses {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(port); err != nil || n == 0 || n >= privileged {
			continue
		}
		if host == "" || host == "*" {
			a = net.JoinHostPort("0.0.0.0", port)
		}
		onlyIPv6 = onlyIPv6 || strings.Contains(host, ":")
		low = append(low, a)
	}
	slices.Sort(low)
	return slices.Compact(low), onlyIPv6
}

// quote writes a path as one word of a unit file (systemd.syntax(7)).
func quote(s string) string {
	s = specifier(s)
	if s != "" && !strings.ContainsAny(s, " \"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// argument is quote for a command, in which a dollar sign begins a variable
// (systemd.service(5)).
func argument(s string) string { return strings.ReplaceAll(quote(s), "$", "$$") }

// specifier keeps a percent sign one (systemd.unit(5)).
func specifier(s string) string { return strings.ReplaceAll(s, "%", "%%") }

func specifiers(all []string) []string {
	var out []string
	for _, s := range all {
		out = append(out, specifier(s))
	}
	return out
}

func execute(name string, v any) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates.FS, "systemd/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

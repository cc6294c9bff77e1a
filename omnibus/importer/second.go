package importer

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// confFolder is where Omnibus's nginx looks for what has no whole path.
const confFolder = "/var/opt/gitlab/nginx/conf"

// second finds out whether agents by gRPC have a name of their own, which is
// topology D: GitLab tells them one, and a vhost of this nginx has it. Omnibus
// knows no such vhost, so that it is somebody's own or a second name of kas's.
func (r *reading) second(files nginxconf.Source) {
	grpc := r.text("gitlab_rails", "gitlab_kas_external_url")
	scheme, _, _ := strings.Cut(grpc, "://")
	name := hostOf(grpc)
	if r.own == "" || scheme != "grpcs" || name == r.own || name == hostOf(r.text("external_url")) || name == "" {
		return
	}
	on, _ := r.vhost("enable")
	hosts, hostsKey := r.vhost("host")
	if on == true && slices.Contains(strings.Fields(text(hosts)), name) {
		r.two(name, "", Name(hostsKey...))
		r.told(true, "one vhost has both names and takes everything on each; D's have one kind of traffic each", "see that agents by gRPC use "+name+", and everything else "+r.own, hostsKey...)
		return
	}
	kas, own := r.ownVhosts(files, name)
	if own == nil || on != true && kas == nil {
		return
	}
	r.two(name, place(own.server.Name), place(own.server.Name))
	if kas != nil && on != true {
		r.custom = kas
	}
	r.grpc = own
	r.told(true, "its vhosts come before kasgen's, and of two with one name nginx takes the first", "take those of kas's names out when kasgen's are installed", "nginx", "custom_nginx_config")
}

// two makes the description one of D.
func (r *reading) two(name, why, from string) {
	if why == "" {
		why = from
	}
	r.d.Fields[0] = Field{"topology", "D", "two names: " + r.own + ", and " + name + " for gRPC, by " + why}
	r.add("names.grpc", name, from)
	r.told(true, "D lets kubectl upgrade to WebSocket alone, and tells one that wants SPDY, as before 1.31, what to do; Omnibus's vhost lets both pass",
		"write topology: B, in which SPDY passes, as long as there are such", "gitlab_kas_external_url")
}

// ownVhosts are those of kas's two names in text of the user's own.
func (r *reading) ownVhosts(files nginxconf.Source, name string) (kas, grpc *vhost) {
	const key = "nginx['custom_nginx_config']"
	f, err := nginxconf.Parse(key, []byte(r.text("nginx", "custom_nginx_config")+"\n"))
	if err == nil {
		inConf := func(name string) string {
			if path.IsAbs(name) {
				return name
			}
			return path.Join(confFolder, name)
		}
		from := nginxconf.Source{}
		if files.ReadFile != nil && files.Glob != nil {
			from = nginxconf.Source{
				ReadFile: func(name string) ([]byte, error) { return files.ReadFile(inConf(name)) },
				Glob:     func(pattern string) ([]string, error) { return files.Glob(inConf(pattern)) },
			}
		}
		expanded, found := f.Expand(from)
		f, err = expanded, found.Err()
	}
	if err != nil {
		r.told(true, fmt.Sprintf("it cannot be read here, so that nobody sees whether it has a vhost for %s: %v", name, err), "describe the vhosts with --vhost, on that machine", "nginx", "custom_nginx_config")
		return nil, nil
	}
	var mine []*nginxconf.Directive
	for _, d := range f.Directives {
		names := ""
		if d.Name.Value == "server" && d.Block != nil {
			names = said(d, "server_name")
		}
		if d.Name.Value == "upstream" || slices.ContainsFunc(strings.Fields(names), func(n string) bool { return n == name || n == r.own }) {
			mine = append(mine, d)
		}
	}
	kas, grpc = r.vhosts(mine)
	if grpc != nil && grpc.name != name {
		grpc = nil
	}
	if kas != nil && kas.name != r.own {
		kas = nil
	}
	return kas, grpc
}

// said is what a block says behind a directive.
func said(d *nginxconf.Directive, name string) string {
	for _, c := range d.Block.Directives {
		if c.Name.Value == name {
			return strings.Join(c.Values(), " ")
		}
	}
	return ""
}

// agree tells where the vhost of the second name says otherwise than the first's:
// D has one certificate, one set of addresses and one kas.
func (r *reading) agree() {
	if r.grpc == nil {
		return
	}
	at := r.grpc.server.Name
	if c, _ := r.field("tls.certificateFile").(string); r.grpc.certificate != "" && r.grpc.certificate != c {
		r.warnAt(true, at, "ssl_certificate "+r.grpc.certificate, "one certificate is for both names", "have one with both names in tls.certificateFile")
	}
	listen, set := r.field("loadBalancer.listen").([]string)
	if !set {
		listen = []string{"0.0.0.0:443"}
	}
	if !slices.Equal(r.grpc.listen, listen) {
		r.warnAt(true, at, "listen "+strings.Join(r.grpc.listen, " "), "both names are at the same addresses, "+strings.Join(listen, " "), "write grpcBalancer.listen")
	}
	agents, set := r.field("kas.listen.agent").(string)
	if !set {
		agents = agentPort
	}
	if to := r.grpc.grpc.address; to != agents {
		r.warnAt(true, at, "grpc_pass "+to, "kas listens on "+agents, "nothing, if that is another way to the same kas")
	}
}

// field is what a field of the description holds, or nil.
func (r *reading) field(path string) any {
	for _, f := range r.d.Fields {
		if f.Path == path {
			return f.Value
		}
	}
	return nil
}

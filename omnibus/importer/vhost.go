package importer

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// vhost is one server{} of nginx's, as far as kas's traffic goes through it.
type vhost struct {
	server                   *nginxconf.Directive
	name                     string
	tls, proxyProtocol       bool
	below                    bool // agents are below a path: the vhost is GitLab's
	listen, trusted          []string
	certificate, key         string
	protocols                []string // of TLS; none: nginx's own
	agents, kubernetes, grpc *way
}

// way is a location that passes to kas.
type way struct {
	path    string
	address string // of kas: host:port
	strips  bool
}

// DescribeVhost says what the vhosts of kas in an nginx file are, its includes
// expanded. gitlab is GitLab's URL, which no vhost tells. An error is of a file
// of which there is nothing to say.
func DescribeVhost(f *nginxconf.File, gitlab string) (Description, error) {
	r := &reading{}
	r.d.Header = "What vhosts of nginx's say of kas, read by kasgen from " + f.Name + "."
	external, err := url.Parse(gitlab)
	if err != nil || external.Host == "" {
		return r.d, fmt.Errorf("GitLab's URL is %q: give it with --gitlab-url, no vhost says it", gitlab)
	}
	http := f.Directives
	for _, d := range f.Directives {
		if d.Name.Value == "http" && d.Block != nil {
			http = d.Block.Directives
		}
	}
	kas, grpc := r.vhosts(http)
	switch {
	case kas == nil && grpc == nil:
		return r.d, fmt.Errorf("%s has no server that passes /k8s-proxy/, agents or gRPC to kas", f.Name)
	case kas == nil:
		return r.d, fmt.Errorf("%s has a server for agents by gRPC, %s, and none for WebSocket and kubectl: include both vhosts", f.Name, grpc.name)
	case grpc != nil:
		r.add("topology", "D", "two vhosts: "+kas.name+", and "+grpc.name+" for gRPC")
	default:
		r.add("topology", "packaged", "one vhost")
	}
	r.add("gitlab.url", strings.TrimSuffix(external.String(), "/"), "--gitlab-url")
	if kas.name == external.Hostname() {
		r.add("names.kas", "kas."+kas.name, "a proposal: the vhost is GitLab's own")
		r.loseAt(kas.server.Name, "server_name "+kas.name, "kas is on GitLab's own name, which no topology of kasgen's is", "make DNS of names.kas before this file is rendered")
	} else {
		r.add("names.kas", kas.name, place(kas.server.Name))
	}
	if grpc != nil {
		r.add("names.grpc", grpc.name, place(grpc.server.Name))
	}
	r.ways(kas, grpc)
	if kas.name != external.Hostname() {
		r.front(kas)
	}
	r.d.sort()
	return r.d, nil
}

// vhosts are the server that takes WebSocket and kubectl, and one for gRPC alone.
func (r *reading) vhosts(http []*nginxconf.Directive) (kas, grpc *vhost) {
	upstreams := map[string]*nginxconf.Directive{}
	for _, d := range http {
		if d.Name.Value == "upstream" && len(d.Args) == 1 && d.Block != nil {
			upstreams[d.Args[0].Value] = d
		}
	}
	for _, d := range http {
		if d.Name.Value != "server" || d.Block == nil {
			continue
		}
		silent := &reading{} // what another server says is not lost
		v := silent.server(d, upstreams)
		switch {
		case v.kubernetes != nil && kas == nil:
			kas = r.server(d, upstreams)
		case v.grpc != nil && v.kubernetes == nil && grpc == nil:
			grpc = r.server(d, upstreams)
		}
	}
	return kas, grpc
}

// server reads one server, and tells what of it kasgen's own would not say.
func (r *reading) server(d *nginxconf.Directive, upstreams map[string]*nginxconf.Directive) *vhost {
	v := &vhost{server: d, name: "any name"}
	for _, c := range d.Block.Directives {
		args := c.Values()
		switch name := c.Name.Value; {
		case name == "server_name" && len(args) > 0:
			v.name = args[0]
			for _, more := range args[1:] {
				r.loseAt(c.Name, "server_name "+more, "a topology has one name for this traffic", "have its clients use the first one, or keep a vhost for it")
			}
		case name == "listen" && len(args) > 0:
			v.listen = append(v.listen, listening(args[0]))
			v.tls = v.tls || slices.Contains(args, "ssl")
			v.proxyProtocol = v.proxyProtocol || slices.Contains(args, "proxy_protocol")
		case name == "ssl_certificate" && len(args) == 1:
			v.certificate = args[0]
		case name == "ssl_certificate_key" && len(args) == 1:
			v.key = args[0]
		case name == "set_real_ip_from" && len(args) == 1:
			v.trusted = append(v.trusted, args[0])
		case name == "ssl_protocols":
			v.protocols = args
			slices.Sort(v.protocols)
			if last := len(args) - 1; !slices.Equal(v.protocols, []string{"TLSv1.2", "TLSv1.3"}) && (last != 0 || args[0] != "TLSv1.3") {
				r.warnAt(true, c.Name, "ssl_protocols "+strings.Join(args, " "), "kasgen's own vhost has TLSv1.2 and TLSv1.3, or the latter alone", "tls.minVersion is all there is")
			}
		case name == "location" && c.Block != nil && len(args) > 0:
			r.location(v, c, upstreams)
		default:
			r.unsaid(c)
		}
	}
	return v
}

// location takes a location for what it passes to.
func (r *reading) location(v *vhost, d *nginxconf.Directive, upstreams map[string]*nginxconf.Directive) {
	path := d.Args[len(d.Args)-1].Value
	var pass *nginxconf.Directive
	for _, c := range d.Block.Directives {
		if name := c.Name.Value; (name == "proxy_pass" || name == "grpc_pass") && len(c.Args) == 1 {
			pass = c
			continue
		}
		r.unsaid(c)
	}
	if pass == nil {
		return // challenges and error pages are nginx's own
	}
	to, uri := r.address(pass.Args[0], upstreams)
	w := &way{path: path, address: to, strips: uri != ""}
	switch {
	case pass.Name.Value == "grpc_pass":
		v.grpc = w
	case strings.Contains(path, "k8s-proxy"):
		if v.kubernetes == nil || len(d.Args) == 1 {
			v.kubernetes = w
		}
	case strings.HasPrefix(path, samePath):
		v.agents, v.below = w, true
	case path == "/":
		if !v.below {
			v.agents = w
		}
	default:
		r.loseAt(d.Name, "location "+path, "kasgen's vhost has no such location", "keep it in a vhost of your own")
	}
}

// address is where proxy_pass or grpc_pass leads.
func (r *reading) address(w nginxconf.Word, upstreams map[string]*nginxconf.Directive) (address, uri string) {
	scheme, rest, found := strings.Cut(w.Value, "://")
	if !found {
		scheme, rest = "", w.Value
	}
	if scheme == "https" || scheme == "grpcs" {
		r.loseAt(w, w.Value, "kasgen's kas takes cleartext from this machine only", "remove kas's certificate once this file is rendered")
	}
	address, uri = rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		address, uri = rest[:i], rest[i:]
	}
	if u := upstreams[address]; u != nil {
		for _, s := range u.Block.Directives {
			if s.Name.Value != "server" || len(s.Args) == 0 {
				continue
			}
			if address != u.Args[0].Value {
				r.loseAt(s.Name, "server "+s.Args[0].Value, "one kas is described", "list all of them in loadBalancer.nodes")
				continue
			}
			address = s.Args[0].Value
		}
	}
	if strings.HasPrefix(address, "unix:") {
		r.loseAt(w, w.Value, "kasgen's listeners are TCP", "have kas listen on TCP")
		address = ""
	}
	return local(address), uri
}

// ways are kas's listeners, and the path of the Kubernetes API.
func (r *reading) ways(kas, grpc *vhost) {
	agents := kas.agents
	if agents == nil {
		agents = kas.grpc
	}
	if agents == nil && grpc != nil {
		agents = grpc.grpc
	}
	if agents != nil && agents.address != "" && agents.address != agentPort {
		r.add("kas.listen.agent", agents.address, place(kas.server.Name))
	}
	if at := kas.kubernetes.address; at != "" && at != proxyPort {
		r.add("kas.listen.kubernetesAPI", kas.kubernetes.address, place(kas.server.Name))
	}
	if path := strings.TrimSuffix(kas.kubernetes.path, "/"); path != "/k8s-proxy" && !strings.HasPrefix(path, samePath) {
		r.add("kas.pathPrefix", path, place(kas.server.Name))
	}
	if kas.kubernetes.strips {
		r.add("kas.stripPrefix", true, "its proxy_pass takes the path off")
	}
	if kas.agents == nil {
		r.add("agents.websocket", "remove", "no location passes agents by WebSocket")
	}
	if kas.grpc == nil && grpc == nil {
		r.loseAt(kas.server.Name, "server "+kas.name, "it passes no gRPC, and kasgen's does", "nothing: agents by WebSocket stay as they are")
	}
}

// listening is an address of listen as kasgen.yaml has it.
func listening(text string) string {
	if strings.Trim(text, "0123456789") == "" {
		return "0.0.0.0:" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, "80"
	}
	if host == "*" || host == "" {
		host = "0.0.0.0"
	}
	return net.JoinHostPort(host, port)
}

// local is an address with localhost as a number.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

package omnibus

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/generator/target"
	"kasgen/generator/target/nginx"
	"kasgen/generator/topology"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
)

// keys are what gitlab.rb is to say about a topology. vhosts says whether there
// is a file of vhosts to include.
func keys(f generator.Facts, pkg Package, vhosts bool) settings {
	s := settings{pkg: pkg}
	s.server(f)
	s.urls(f)
	site, own := packaged(f.Topology, pkg)
	if own {
		s.vhost(f, site)
	} else {
		s.append("Omnibus's own vhost would take this name away from the files here.", off, f.Spec.Names.KAS, s.kas("enable")...)
	}
	if vhosts {
		s.append("Vhosts that Omnibus has no keys for. nginx takes a change in them after `gitlab-ctl hup nginx`.", text,
			"include "+Directory+"/"+VhostsFolder+"/*.conf;", "nginx", "custom_nginx_config")
	}
	if size := nginx.Bucket(hostsOf(f, pkg)); size > 0 {
		s.append("nginx does not start with a name too long for a bucket of its hash table, and Omnibus's are of 64 bytes.", least, size, "nginx", "server_names_hash_bucket_size")
	}
	s.share(f)
	s.certificates(f)
	return s
}

// server is kas itself.
func (s *settings) server(f generator.Facts) {
	k, usual := f.Topology.KAS, spec.Default().KAS.Listen
	s.set("kas runs on this machine.", true, "gitlab_kas", "enable")
	s.set("Where agents' traffic is passed on to.", k.Listen.Agent, "gitlab_kas", "listen_address")
	s.set("By TCP: a socket of another kind would have that address for a path.", "tcp", "gitlab_kas", "listen_network")
	s.set("Where the Kubernetes API is passed on to.", k.Listen.KubernetesAPI, "gitlab_kas", "kubernetes_api_listen_address")
	for _, l := range []struct{ why, address, usual, key string }{
		{"Liveness, readiness and metrics.", k.Listen.Observability, usual.Observability, "observability_listen"},
		{"Where GitLab's Rails finds kas.", k.Listen.API, usual.API, "internal_api_listen"},
		{"Where other kas nodes find this one.", k.Listen.PrivateAPI, usual.PrivateAPI, "private_api_listen"},
	} {
		if l.address != l.usual {
			s.set(l.why, l.address, "gitlab_kas", l.key+"_address")
			s.set("By TCP, too.", "tcp", "gitlab_kas", l.key+"_network")
		}
	}
	why := "Agents over WebSocket as well as gRPC."
	switch {
	case !k.Websocket:
		why = "Agents by gRPC only."
	case k.RemoveWebsocket != "":
		why = "Agents over WebSocket as well as gRPC, until nobody uses it after " + k.RemoveWebsocket + "."
	}
	s.set(why, k.Websocket, "gitlab_kas", "listen_websocket")
	if k.GitLabURL != k.ExternalURL {
		s.set("Where kas calls GitLab, if not by its external URL.", k.GitLabURL, "gitlab_kas", "gitlab_address")
	}
}

// urls are what GitLab tells people, agents and CI jobs.
func (s *settings) urls(f generator.Facts) {
	agents, kubernetes := URLs(f.Topology)
	if _, own := packaged(f.Topology, s.pkg); own { // with grpcs:// in it only where the package takes that
		s.set("kas has a name of its own. GitLab tells people to install agents with this address.", agents, "gitlab_kas_external_url")
	} else {
		why := "GitLab tells people to install agents with this address."
		if f.Topology.Names.GRPC != nil && f.Topology.Carries.Agents.WSS == lockfile.Yes {
			why += " Agents by gRPC use grpcs://" + authority(*f.Topology.Names.GRPC) + "."
		}
		s.set(why, agents, "gitlab_rails", "gitlab_kas_external_url")
	}
	s.set("CI jobs and kubectl get this address; kas has no redirect for it without the slash.", kubernetes, "gitlab_rails", "gitlab_kas_external_k8s_proxy_url")
}

// URLs are the addresses of kas for agents and for the Kubernetes API, as its
// clients reach it. As long as agents over WebSocket are served, they are told
// that: every agent and every proxy on the way knows it.
func URLs(t topology.Topology) (agents, kubernetes string) {
	kas := authority(t.Names.KAS)
	kubernetes = "https://" + kas + t.Names.KAS.PathPrefix + "/"
	switch {
	case t.Carries.Agents.WSS == lockfile.Yes:
		return "wss://" + kas + "/", kubernetes
	case t.Names.GRPC != nil:
		return "grpcs://" + authority(*t.Names.GRPC), kubernetes
	default:
		return "grpcs://" + kas, kubernetes
	}
}

// authority is a name with its port, where that is not usual. Somebody else's
// balancer has the usual one.
func authority(h lockfile.Host) string {
	if h.Front != nil || len(h.Listeners) == 0 {
		return h.Name
	}
	_, port, err := net.SplitHostPort(h.Listeners[0])
	if err != nil || port == "443" {
		return h.Name
	}
	return net.JoinHostPort(h.Name, port)
}

// share moves GitLab's vhosts to where the TCP balancer passes them on to.
func (s *settings) share(f generator.Facts) {
	share := f.Spec.LoadBalancer.ShareWithGitLab
	if !share.Enabled || f.Topology.Front == nil {
		return
	}
	host, port, err := net.SplitHostPort(share.Address)
	if err != nil {
		return // the spec was checked
	}
	s.set("The TCP balancer has port 443, and passes every other name on to here.", number(port), s.gitlab("listen_port")...)
	if share.ProxyProtocol == spec.ProxyNone {
		return
	}
	s.set("Only the balancer on this machine connects.", []string{host}, s.gitlab("listen_addresses")...)
	s.set("The balancer tells clients' addresses in a PROXY header.", true, s.gitlab("proxy_protocol")...)
	s.append("Who may tell them.", list, []string{host}, s.gitlab("real_ip_trusted_addresses")...)
	s.set("Port 80 is in "+Directory+"/"+VhostsFolder+": clients come to it without a PROXY header.", false, s.gitlab("redirect_http_to_https")...)
}

// certificates asks Omnibus for what it is to obtain.
func (s *settings) certificates(f generator.Facts) {
	if f.Spec.TLS.Source != spec.TLSOmnibus {
		return
	}
	names := []string{gitlabHost(f.Spec), f.Spec.Names.KAS}
	if f.Topology.Names.GRPC != nil {
		names = append(names, f.Topology.Names.GRPC.Name)
	}
	s.append("Let's Encrypt's certificate is for GitLab and for kas.", list, names, "letsencrypt", "alt_names")
}

// vhost is Omnibus's own vhost of kas's name.
func (s *settings) vhost(f generator.Facts, site topology.Site) {
	t := f.Topology
	s.set("Omnibus's own vhost takes the name.", true, s.kas("enable")...)
	s.set("Its name.", site.Host, s.kas("host")...)
	var hosts []string
	port := ""
	for _, l := range site.Listen {
		host, p, err := net.SplitHostPort(l)
		if err != nil {
			continue // the spec was checked
		}
		if host == "0.0.0.0" {
			host = "*"
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		hosts, port = append(hosts, host), p
	}
	s.set("Where it listens.", hosts, s.kas("listen_addresses")...)
	s.set("Omnibus ignores a port in kas's URL.", number(port), s.kas("port")...)
	s.set("kubectl sends no token over http.", true, s.kas("https")...)
	s.set("The certificate of kas's name, leaf first.", site.TLS.CertificateFile, s.kas("ssl_certificate")...)
	s.set("Its key.", site.TLS.KeyFile, s.kas("ssl_certificate_key")...)
	if t.Web.Redirect != nil {
		// Two vhosts of one name on port 80, and Omnibus's is the first.
		s.set("Port 80 of the name is in "+Directory+"/"+VhostsFolder+", which answers challenges too.", false, s.kas("redirect_http_to_https")...)
	}
	if site.TLS.MinVersion == "1.3" {
		s.set("kasgen.yaml asks for nothing older.", "TLSv1.3", s.kas("ssl_protocols")...)
	}
	if site.AcceptProxy {
		s.set("A balancer before this one tells clients' addresses.", true, s.kas("proxy_protocol")...)
	}
	if len(site.Trusted) > 0 {
		s.append("Who may tell clients' addresses.", list, slices.Clone(site.Trusted), s.kas("real_ip_trusted_addresses")...)
		if !site.AcceptProxy {
			s.set("How they are told.", "X-Forwarded-For", s.kas("real_ip_header")...)
			s.set("Of several addresses, the last that is nobody's who may tell.", "on", s.kas("real_ip_recursive")...)
		}
	}
	s.set("How long kas may take to accept a connection.", seconds(t.Timeouts.Connect), s.kas("k8s_proxy_connect_timeout")...)
	s.set("A client may be silent as long as a person thinks.", seconds(t.Timeouts.Idle), s.kas("k8s_proxy_read_timeout")...)
	s.set("And may read as slowly.", seconds(t.Timeouts.Idle), s.kas("k8s_proxy_send_timeout")...)
	idle := target.Duration(t.Timeouts.Idle)
	s.append("An agent's gRPC stream is one request body for hours: nginx's default of 1 MiB resets it and refuses\n# big kubectl requests, and its defaults of 60 s cut one that is silent. An agent's tunnels are streams of\n# one connection, up to 500 at once. And GitLab's cache would make GET of HEAD and drop conditions of\n# requests; its compression would hold up a watch.", text,
		strings.Join(append([]string{
			"client_max_body_size 0;",
			"client_body_timeout " + idle + ";",
			"send_timeout " + idle + ";",
			fmt.Sprintf("http2_max_concurrent_streams %d;", target.Streams),
			"grpc_connect_timeout " + target.Duration(t.Timeouts.Connect) + ";",
			"grpc_read_timeout " + idle + ";",
			"grpc_send_timeout " + idle + ";",
			"grpc_socket_keepalive on;",
			"proxy_cache off;",
			"gzip off;",
		}, onlyGRPC(site)...), "\n"), s.kas("custom_gitlab_server_config")...)
}

// onlyGRPC answers agents that use WebSocket, where that is removed: Omnibus's
// vhost would pass them on to a kas that speaks no HTTP/1.1 to agents. It asks for
// the path as it came, so that a page for an error, which nginx goes to by itself,
// is none of its business.
func onlyGRPC(site topology.Site) []string {
	for _, r := range site.Routes {
		if r.Status != 0 {
			return []string{
				"# " + r.Why,
				"default_type text/plain;",
				`if ($request_uri !~ "^/(gitlab\.agent\.|k8s-proxy([/?]|$)|\.well-known/acme-challenge/)") {`,
				fmt.Sprintf("    return %d %s;", r.Status, nginxconf.Quote(r.Text)),
				"}",
			}
		}
	}
	return nil
}

// gitlabHost is GitLab's own name.
func gitlabHost(s *spec.Spec) string {
	return gitlabURL(s).Hostname()
}

func number(port string) int {
	n := 0
	_, err := fmt.Sscanf(port, "%d", &n)
	if err != nil {
		return 0 // the spec was checked
	}
	return n
}

// seconds is a time limit as Omnibus takes it, rounded up.
func seconds(d time.Duration) string {
	return fmt.Sprint(int64((d + time.Second - 1) / time.Second))
}

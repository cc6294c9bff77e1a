package omnibus

import (
	"slices"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/generator/target/nginx"
	"kasgen/generator/topology"
	"kasgen/omnibus/importer"
)

// VhostsFolder is the folder of a bundle that Omnibus's nginx includes.
const VhostsFolder = "vhosts"

// vhostsPath is the one file in it.
const vhostsPath = VhostsFolder + "/kas.conf"

// packaged is the vhost of a topology that Omnibus's own vhost can be: told so
// by keys, and as good as the one that would be rendered.
func packaged(t topology.Topology, pkg Package) (topology.Site, bool) {
	if t.Web == nil || len(t.Web.Sites) != 1 || t.Web.Refusal != nil || t.Front != nil {
		return topology.Site{}, false
	}
	site := t.Web.Sites[0]
	if site.TLS == nil || !pkg.GRPC || !pkg.Limits || samePorts(site.Listen) != 1 || len(t.Web.Upstreams) != 2 {
		return topology.Site{}, false
	}
	for _, u := range t.Web.Upstreams {
		if len(u.Servers) != 1 {
			return topology.Site{}, false // Omnibus's knows this machine's kas alone
		}
	}
	// What Omnibus's vhost has: gRPC, the Kubernetes API below /k8s-proxy, which
	// is taken off, and agents over WebSocket everywhere else. Agents by gRPC alone
	// it has where kas's own URL may say so.
	for _, r := range site.Routes {
		switch {
		case r.Status != 0 && !pkg.Native, r.Refuse:
			return topology.Site{}, false
		case r.Strip && r.Path != "/k8s-proxy" && r.Path != "/k8s-proxy/":
			return topology.Site{}, false
		}
	}
	strips := slices.ContainsFunc(site.Routes, func(r topology.Route) bool { return r.Strip })
	grpc := slices.ContainsFunc(site.Routes, func(r topology.Route) bool { return r.GRPC })
	return site, strips && grpc
}

// samePorts is how many ports there are among addresses.
func samePorts(addresses []string) int {
	var ports []string
	for _, a := range addresses {
		ports = append(ports, portOf(a))
	}
	slices.Sort(ports)
	return len(slices.Compact(ports))
}

// web is what of a topology Omnibus has no keys for in nginx's http{}.
func web(f generator.Facts, pkg Package) topology.Web {
	t, certs := f.Topology, f.Topology.Certs
	w := topology.Web{HTTP2Directive: pkg.HTTP2Directive}
	if t.Web != nil {
		w = *t.Web
		w.HTTP2Directive, w.RejectHandshake = pkg.HTTP2Directive, false
	}
	if _, own := packaged(t, pkg); own {
		w.Sites, w.Upstreams = nil, nil
	}
	if share := f.Spec.LoadBalancer.ShareWithGitLab; share.Enabled && t.Front != nil && share.ProxyProtocol != spec.ProxyNone && w.Redirect == nil {
		// GitLab's own redirect would expect a PROXY header, too.
		listen := []string{"0.0.0.0:80"}
		if slices.ContainsFunc(f.Spec.LoadBalancer.Listen, six) {
			listen = append(listen, "[::]:80") // as the balancer, so that its clients find it
		}
		w.Redirect = &topology.Redirect{Listen: listen, Hosts: []string{gitlabHost(f.Spec), f.Spec.Names.KAS}, Challenge: f.Spec.StateDir + "/acme"}
		if t.Names.GRPC != nil {
			w.Redirect.Hosts = append(w.Redirect.Hosts, t.Names.GRPC.Name)
		}
		if certs != nil && certs.Webroot != "" {
			w.Redirect.Challenge = certs.Webroot
		}
	}
	return w
}

// hostsOf are the names of all vhosts that GitLab's nginx gets.
func hostsOf(f generator.Facts, pkg Package) []string {
	w := web(f, pkg)
	var names []string
	if w.Redirect != nil {
		names = slices.Clone(w.Redirect.Hosts)
	}
	for _, site := range w.Sites {
		names = append(names, site.Host)
	}
	if site, own := packaged(f.Topology, pkg); own {
		names = append(names, site.Host)
	}
	return names
}

// vhosts is the file of vhosts that Omnibus has no keys for, or nil.
func vhosts(f generator.Facts, pkg Package) ([]byte, error) {
	t, w := f.Topology, web(f, pkg)
	if w.Redirect == nil && len(w.Sites) == 0 {
		return nil, nil
	}
	t.Web = &w
	return nginx.Include(t, nginx.Guest{Prefix: "kasgen_", Log: "/var/log/gitlab/nginx/kasgen_access.log", LogFormat: "gitlab_access",
		Challenges: "/var/opt/gitlab/nginx/www", Ciphers: importer.CipherSuites})
}

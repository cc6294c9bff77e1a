package omnibus

import (
	"fmt"
	"net"
	"net/url"
	"slices"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// neighbour is another of GitLab's services with a vhost of its own.
type neighbour struct{ url, flat, service string }

// key is where a setting of its vhost is.
func (n neighbour) key(pkg Package, r *Resolved, name string) []string {
	return placed(pkg, r, n.service, n.flat, name)
}

// served says whether GitLab's nginx has that vhost. A service may be on another
// machine, and its URL is told to GitLab all the same.
func (n neighbour) served(pkg Package, r *Resolved) bool {
	return r.at(n.service, "enable") != false && r.at(n.key(pkg, r, "enable")...) != false
}

// neighbours looks for others of GitLab's vhosts on the balancer's port.
func neighbours(f generator.Facts, pkg Package, r *Resolved, add reporter) {
	lb := f.Spec.LoadBalancer
	share := lb.ShareWithGitLab
	if f.Topology.Front == nil || f.Topology.Edge == nil {
		return
	}
	var ports []string // that nginx cannot have as well
	for _, address := range lb.Listen {
		if port, all := everywhere(address); all || share.Enabled {
			ports = append(ports, port)
		}
	}
	for _, n := range []neighbour{
		{"registry_external_url", "registry_nginx", "registry"},
		{"pages_external_url", "pages_nginx", "gitlab_pages"},
		{"mattermost_external_url", "mattermost_nginx", "mattermost"},
	} {
		address := r.text(n.url)
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || !n.served(pkg, r) {
			continue // not there, or on port 80
		}
		key := n.key(pkg, r, "listen_port")
		at := portIn(u)
		if told := fmt.Sprint(r.at(key...)); told != "<nil>" && told != "" {
			at = told
		}
		if !slices.Contains(ports, at) {
			continue
		}
		why, fix := "the TCP balancer takes the port and passes every name but kas's to one address of GitLab's nginx", ""
		if !share.Enabled {
			why = "the TCP balancer takes the port of every address, and GitLab's nginx would not start"
			fix = "give the balancer an address of its own in loadBalancer.listen, and nginx others in " + rubyKey(n.key(pkg, r, "listen_addresses"))
		} else {
			_, port, err := net.SplitHostPort(share.Address)
			if err != nil {
				continue // the spec was checked
			}
			fix = "set " + rubyKey(key) + " = " + port
			if share.ProxyProtocol != spec.ProxyNone {
				fix += " and " + rubyKey(n.key(pkg, r, "proxy_protocol")) + " = true"
			}
		}
		add(diag.Error, CodeNeighbour, n.url, address+" is on port "+at+", too", why, fix)
	}
}

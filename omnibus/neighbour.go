package omnibus

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

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

// port is where that vhost listens.
func (n neighbour) port(pkg Package, r *Resolved, u *url.URL) string {
	if told := fmt.Sprint(r.at(n.key(pkg, r, "listen_port")...)); told != "<nil>" && told != "" {
		return told
	}
	return portIn(u)
}

// neighbours looks for others of GitLab's vhosts on the balancer's port, and on
// the one to which it passes every name but kas's.
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
		at := n.port(pkg, r, u)
		switch taken := slices.Contains(ports, at); {
		case taken && !share.Enabled:
			add(diag.Error, CodeNeighbour, n.url, address+" is on port "+at+", too", "the TCP balancer takes the port of every address, and GitLab's nginx would not start",
				"give the balancer an address of its own in loadBalancer.listen, and nginx others in "+rubyKey(n.key(pkg, r, "listen_addresses")))
		case taken:
			add(diag.Error, CodeNeighbour, n.url, address+" is on port "+at+", too", "the TCP balancer takes the port and passes every name but kas's to one address of GitLab's nginx",
				n.beside(share, pkg, r))
		case share.Enabled && at == portOf(share.Address) && !n.found(share, pkg, r):
			add(diag.Error, CodeNeighbour, n.url, address+" is not at "+share.Address,
				"the TCP balancer passes every name but kas's there, and of vhosts on one port nginx asks those of every address only where none has the address that a client comes to",
				n.beside(share, pkg, r))
		}
	}
}

// beside is how that vhost gets to where the balancer finds GitLab's.
func (n neighbour) beside(share spec.Share, pkg Package, r *Resolved) string {
	host, port, err := net.SplitHostPort(share.Address)
	if err != nil {
		return "" // the spec was checked
	}
	say := func(name, value string) string { return rubyKey(n.key(pkg, r, name)) + " = " + value }
	if share.ProxyProtocol != spec.ProxyNone {
		list := "[" + literal(host) + "]"
		return "set " + say("listen_port", port) + ", " + say("listen_addresses", list) + ", " + say("proxy_protocol", "true") + " and " + say("real_ip_trusted_addresses", list)
	}
	return "set " + say("listen_port", port) + ", and " + say("listen_addresses", "those of "+rubyKey(gitlabKey(pkg, r, "listen_addresses")))
}

// found says whether nginx asks that vhost, too, where it asks GitLab's for what
// the balancer passes on: both name its address, or neither does.
func (n neighbour) found(share spec.Share, pkg Package, r *Resolved) bool {
	host, _, err := net.SplitHostPort(share.Address)
	if err != nil {
		return true // the spec was checked
	}
	gitlab := share.ProxyProtocol != spec.ProxyNone || names(r.at(gitlabKey(pkg, r, "listen_addresses")...), host)
	return names(r.at(n.key(pkg, r, "listen_addresses")...), host) == gitlab
}

// names says whether listen_addresses have that one itself, and not by one that
// is for all.
func names(addresses any, host string) bool {
	list, _ := addresses.([]any)
	return slices.ContainsFunc(list, func(v any) bool { return strings.Trim(fmt.Sprint(v), "[]") == host })
}

package omnibus

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// listener is where vhosts of kas's listen in GitLab's nginx.
type listener struct {
	field  string // of kasgen.yaml
	what   string
	listen []string
}

// hidden looks for addresses that GitLab's vhost has for itself: nginx asks the
// vhosts of an address alone where there are any, and kas's of every address are
// not among them.
func hidden(f generator.Facts, pkg Package, r *Resolved, add reporter) {
	key := gitlabKey(pkg, r, "listen_addresses")
	gitlab := addresses(r.at(key...))
	share := f.Spec.LoadBalancer.ShareWithGitLab
	if len(gitlab) == 0 || f.Topology.Web == nil || f.Topology.Front != nil && share.Enabled && share.ProxyProtocol != spec.ProxyNone {
		return // where that is shared, kasgen.rb says where GitLab listens, and takes its port 80
	}
	ports := gitlabPorts(f, pkg, r)
	for _, l := range listeners(f, gitlab) {
		for _, port := range ports {
			l.against(gitlab, port, rubyKey(key), add)
		}
	}
}

// against finds what of GitLab's addresses with a port kas's vhosts do not get.
func (l listener) against(gitlab []netip.Addr, port, key string, add reporter) {
	own := l.at(port)
	var lost, covered, six, want []string
	var replaced []netip.Addr // for every address, where GitLab's have none for that
	for _, a := range gitlab {
		all := everyOf(a)
		want = append(want, net.JoinHostPort(a.String(), port))
		switch {
		case slices.Contains(own, a):
		case slices.Contains(own, all):
			lost = append(lost, net.JoinHostPort(a.String(), port))
			if slices.Contains(gitlab, all) {
				covered = append(covered, a.String())
			} else {
				replaced = append(replaced, all)
			}
		case a.Is6() && !slices.ContainsFunc(own, netip.Addr.Is6) && !apart(own, gitlab):
			six = append(six, a.String())
		}
	}
	for _, address := range l.listen {
		at, err := netip.ParseAddrPort(address)
		if err == nil && !(portOf(address) == port && slices.Contains(replaced, at.Addr())) && !slices.Contains(want, address) {
			want = append(want, address)
		}
	}
	slices.Sort(want)
	fix := "write " + l.field + ": ['" + strings.Join(want, "', '") + "'] in kasgen.yaml"
	switch {
	case len(lost) > 0:
		if len(covered) > 0 {
			fix = "take " + strings.Join(covered, " and ") + " out of " + key + ", which has every address, too"
		}
		add(diag.Error, CodeHidden, key, "GitLab's nginx has "+strings.Join(lost, ", ")+" for GitLab alone, and "+l.what+" is on "+strings.Join(l.listen, ", "),
			"nginx asks vhosts of every address only where none has the address that a client comes to, and GitLab's would answer for kas's name", fix)
	case len(six) > 0:
		add(diag.Warning, CodeIPv6, key, "GitLab's nginx listens on IPv6, and "+l.what+" does not", "who comes to kas's name by IPv6 reaches GitLab's vhost",
			fix+", or take IPv6 out of the DNS")
	}
}

// at are the addresses with that port.
func (l listener) at(port string) []netip.Addr {
	var list []netip.Addr
	for _, address := range l.listen {
		if at, err := netip.ParseAddrPort(address); err == nil && portOf(address) == port {
			list = append(list, at.Addr())
		}
	}
	return list
}

// listeners are those of kas's names, and of port 80 unless the names lead to
// other addresses than GitLab's.
func listeners(f generator.Facts, gitlab []netip.Addr) []listener {
	var list []listener
	for _, site := range f.Topology.Web.Sites {
		l := listener{"loadBalancer.listen", "kas's vhost", site.Listen}
		if site.Host != f.Spec.Names.KAS && len(f.Spec.GRPCBalancer.Listen) > 0 {
			l.field, l.what = "grpcBalancer.listen", "the vhost for agents by gRPC"
		}
		if !slices.ContainsFunc(list, func(o listener) bool { return o.field == l.field }) {
			list = append(list, l)
		}
	}
	var names []netip.Addr
	for _, address := range f.Spec.LoadBalancer.Listen {
		if _, all := everywhere(address); all {
			names = append(names, netip.IPv4Unspecified()) // perhaps written without a host
		} else if at, err := netip.ParseAddrPort(address); err == nil {
			names = append(names, at.Addr())
		}
	}
	if redirect := f.Topology.Web.Redirect; redirect != nil && !apart(names, gitlab) {
		list = append(list, listener{"http.listen", "port 80 of kas's name", redirect.Listen})
	}
	return list
}

// apart says whether addresses are others than GitLab's. A name may lead to any
// of those that are for all.
func apart(own, gitlab []netip.Addr) bool {
	return !slices.ContainsFunc(own, func(a netip.Addr) bool { return a.IsUnspecified() || slices.Contains(gitlab, a) })
}

// gitlabPorts are those of GitLab's vhost, and of its redirect where it has one.
func gitlabPorts(f generator.Facts, pkg Package, r *Resolved) []string {
	told := func(name, usual string) string {
		if text := fmt.Sprint(r.at(gitlabKey(pkg, r, name)...)); text != "<nil>" && text != "" {
			return text
		}
		return usual
	}
	usual := gitlabPort(f.Spec)
	if u, err := url.Parse(r.text("external_url")); err == nil && u.Host != "" {
		usual = portIn(u)
	}
	ports := []string{told("listen_port", usual)}
	if share := f.Spec.LoadBalancer.ShareWithGitLab; f.Topology.Front != nil && share.Enabled {
		ports[0] = portOf(share.Address)
	}
	if r.at(gitlabKey(pkg, r, "redirect_http_to_https")...) == true {
		ports = append(ports, told("redirect_http_to_https_port", "80"))
	}
	return slices.Compact(ports)
}

// addresses are what listen_addresses hold, without names.
func addresses(v any) []netip.Addr {
	items, _ := v.([]any)
	var list []netip.Addr
	for _, item := range items {
		text := strings.Trim(fmt.Sprint(item), "[]")
		if text == "*" {
			text = "0.0.0.0"
		}
		if a, err := netip.ParseAddr(text); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// everyOf is every address of an address's family.
func everyOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

package omnibus

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// usualListen is where a TCP balancer listens that is told nothing.
const usualListen = "0.0.0.0:443"

// gitlabURL is where people find GitLab.
func gitlabURL(s *spec.Spec) *url.URL {
	text := s.GitLab.ExternalURL
	if text == "" {
		text = s.GitLab.URL // of which it is made
	}
	u, err := url.Parse(text)
	if err != nil {
		return &url.URL{} // whoever checks the spec says it
	}
	return u
}

// portIn is a URL's port, written or usual.
func portIn(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// gitlabPort is the port that GitLab's nginx has.
func gitlabPort(s *spec.Spec) string { return portIn(gitlabURL(s)) }

// unshared is why a GitLab with that URL is not reached through a balancer that
// listens there and tells names apart by SNI; empty: it is.
func unshared(gitlab *url.URL, listen []string) string {
	ports := func(address string) bool { return portOf(address) == portIn(gitlab) }
	switch {
	case gitlab.Scheme != "https":
		return "GitLab's URL is http, and a name in cleartext cannot be told apart from kas's"
	case !slices.ContainsFunc(listen, ports):
		return "GitLab's URL has port " + portIn(gitlab) + ", on which the balancer does not listen, and GitLab's nginx would leave it"
	}
	return ""
}

// sharing looks at what GitLab's nginx has of its own on the port that is shared:
// the balancer passes TLS on and knows it by the name in it.
func sharing(f generator.Facts, pkg Package, r *Resolved, add reporter) {
	lb := f.Spec.LoadBalancer
	if f.Topology.Front == nil || f.Topology.Edge == nil {
		return
	}
	if !lb.ShareWithGitLab.Enabled {
		occupied(f, pkg, r, add)
		return
	}
	if u, err := url.Parse(r.text("external_url")); err == nil && u.Host != "" {
		if why := unshared(u, lb.Listen); why != "" {
			add(diag.Error, CodeShare, "external_url", "GitLab cannot share the TCP balancer's port", why,
				"write GitLab's URL into gitlab.externalURL and loadBalancer.shareWithGitLab.enabled: false into kasgen.yaml, or have external_url be https on the balancer's port")
		}
	}
	if key := gitlabKey(pkg, r, "listen_https"); r.at(key...) == false {
		add(diag.Error, CodeCleartext, rubyKey(key), "GitLab's nginx expects cleartext", "the TCP balancer passes GitLab's TLS on as it comes, and nobody would reach GitLab",
			"remove the line from gitlab.rb, so that GitLab's nginx ends TLS; or give kas an address of its own, as in loadBalancer.listen: ['192.0.2.1:443'], and the port is not shared")
	}
}

// occupied looks for GitLab's nginx on a port that the balancer takes for itself:
// what kasgen.yaml says of GitLab's URL may be of another way to it.
func occupied(f generator.Facts, pkg Package, r *Resolved, add reporter) {
	u, err := url.Parse(r.text("external_url"))
	if err != nil || u.Host == "" {
		return
	}
	at := portIn(u)
	if told := fmt.Sprint(r.at(gitlabKey(pkg, r, "listen_port")...)); told != "<nil>" && told != "" {
		at = told
	}
	for _, address := range f.Spec.LoadBalancer.Listen {
		if port, all := everywhere(address); all && port == at {
			add(diag.Error, CodePort, "external_url", "the TCP balancer listens on "+address, "GitLab's nginx has port "+at+" of every address",
				"write GitLab's URL into gitlab.externalURL, so that the port is shared where that can be, or give the balancer an address of its own in loadBalancer.listen")
			return
		}
	}
}

// gitlabKey is where a setting of GitLab's vhost is: from 19.2 on below the
// service, or still at the old place, which Omnibus translates.
func gitlabKey(pkg Package, r *Resolved, name string) []string {
	return placed(pkg, r, "gitlab_rails", "nginx", name)
}

// placed is gitlabKey for the vhost of any service, with its old place.
func placed(pkg Package, r *Resolved, service, flat, name string) []string {
	nested := []string{service, "nginx", name}
	if old := []string{flat, name}; !pkg.Nested || r.at(nested...) == nil && r.at(old...) != nil {
		return old
	}
	return nested
}

// narrowed says that people lose IPv6: GitLab's nginx has listened there, and
// from now on only the balancer does, which does not.
func narrowed(f generator.Facts, pkg Package, r *Resolved, add reporter) {
	lb := f.Spec.LoadBalancer
	share := lb.ShareWithGitLab
	if !share.Enabled || f.Topology.Front == nil || slices.ContainsFunc(lb.Listen, six) {
		return
	}
	key := gitlabKey(pkg, r, "listen_addresses")
	list, _ := r.at(key...).([]any)
	if !slices.ContainsFunc(list, func(v any) bool { return strings.Contains(fmt.Sprint(v), ":") }) {
		return
	}
	var want []string
	for _, address := range lb.Listen {
		want = append(want, "'"+address+"'")
		if port, all := everywhere(address); all {
			want = append(want, "'[::]:"+port+"'")
		}
	}
	add(diag.Warning, CodeIPv6, rubyKey(key), "GitLab's nginx listens on IPv6, and the TCP balancer does not", "the balancer takes the port, and who comes by IPv6 reaches nobody",
		"write loadBalancer.listen: ["+strings.Join(want, ", ")+"] and loadBalancer.shareWithGitLab.enabled: true in kasgen.yaml, or take IPv6 out of the DNS")
}

// six says whether an address is IPv6's.
func six(address string) bool { return strings.HasPrefix(address, "[") }

package omnibus

import (
	"fmt"
	"net"
	"strings"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// KAS50xx: a kasgen.yaml that Omnibus cannot follow.
const (
	CodeOld      = "KAS5001"
	CodeKind     = "KAS5002"
	CodePrefix   = "KAS5003"
	CodeKey      = "KAS5004"
	CodeCA       = "KAS5005"
	CodePort     = "KAS5006"
	CodeRedis    = "KAS5007"
	CodeProxy    = "KAS5008"
	CodeVhosts   = "KAS5009"
	CodeInsecure = "KAS5010"
	CodeShare    = "KAS5011"
)

// refusals are what of a spec Omnibus cannot follow, and what will hurt.
func refusals(f generator.Facts, pkg Package) diag.Findings {
	var fs diag.Findings
	s, t := f.Spec, f.Topology
	report := func(severity diag.Severity, code, field, what, why, fix string) {
		fs.Add(diag.Finding{Code: code, Severity: severity, Pos: f.At(field), Field: field, What: what, Why: why, Fix: fix})
	}
	add := func(code, field, what, why, fix string) { report(diag.Error, code, field, what, why, fix) }
	if pkg.Version.before(oldest()) {
		add(CodeOld, "names.kas", fmt.Sprintf("GitLab %s cannot give kas a name of its own", pkg.Version),
			"Omnibus knows gitlab_kas_external_url from "+oldest().String()+" on", "upgrade GitLab first")
	}
	if s.KAS.Kind != spec.KASExternal {
		add(CodeKind, "kas.kind", fmt.Sprintf("kas.kind is %s", s.KAS.Kind),
			"Omnibus runs GitLab's kas and writes its file itself", "remove it, or write external")
	}
	if !s.KAS.StripPrefix {
		add(CodePrefix, "kas.stripPrefix", "kas.stripPrefix is false",
			"Omnibus's kas expects paths without "+s.KAS.PathPrefix+", and there is no key to tell it otherwise", "remove it, or write true")
	}
	if s.GitLab.CAFile != "" {
		add(CodeCA, "gitlab.caFile", "gitlab.caFile is set", "Omnibus's kas trusts what is in /etc/gitlab/trusted-certs, and has no key for another file",
			"copy the file there, and remove this")
	}
	if s.KAS.Redis != nil {
		add(CodeRedis, "kas.redis", "kas.redis is set", "Omnibus writes kas's Redis from gitlab_kas['redis_host'] and the like, or GitLab's own",
			"set those in gitlab.rb, and remove this")
	}
	if s.TLS.Source == spec.TLSOmnibus && (t.Edge != nil && t.Edge.TLS != nil || t.HTTP2 != nil && t.HTTP2.TLS != nil) {
		add(CodeKey, "tls.source", "Omnibus's certificate cannot be used where the edge or HAProxy ends TLS",
			"its key can be read by root alone, and nobody there is told when it is renewed", "write tls.source: acme, or files")
	}
	if t.Edge == nil && s.LoadBalancer.ShareWithGitLab.Enabled && t.Front != nil {
		add(CodeVhosts, "loadBalancer.shareWithGitLab.enabled", "there is nothing to share",
			"kas's vhosts are in GitLab's own nginx, which tells names apart by itself", "remove it")
	} else if t.Front != nil && s.LoadBalancer.ShareWithGitLab.Enabled {
		if why := unshared(gitlabURL(s), s.LoadBalancer.Listen); why != "" {
			add(CodeShare, "loadBalancer.shareWithGitLab.enabled", "GitLab cannot share the TCP balancer's port", why,
				"write loadBalancer.shareWithGitLab.enabled: false, so that GitLab's nginx keeps its own port, or have GitLab's URL be https on the balancer's")
		}
	} else if t.Front != nil {
		taken(s, func(address, port string) {
			fix := "write another port, or an address that nginx['listen_addresses'] leaves out"
			if unshared(gitlabURL(s), s.LoadBalancer.Listen) == "" {
				fix = "write loadBalancer.shareWithGitLab.enabled: true, another port, or an address that nginx['listen_addresses'] leaves out"
			}
			add(CodePort, "loadBalancer.listen", "the TCP balancer listens on "+address, "GitLab's nginx has port "+port+" of every address", fix)
		})
	}
	if share := s.LoadBalancer.ShareWithGitLab; t.HTTP2 != nil && (!share.Enabled || share.ProxyProtocol == spec.ProxyNone) {
		for _, address := range s.GRPCBalancer.Listen {
			if port := portOf(address); port == gitlabPort(s) {
				report(diag.Warning, CodePort, "grpcBalancer.listen", "the HTTP/2 balancer listens on "+address,
					"GitLab's nginx has port "+port+" of every address, unless it is told otherwise", "leave the address out of nginx['listen_addresses']")
			}
		}
	}
	if t.Web != nil && t.Edge == nil {
		for _, site := range t.Web.Sites {
			if site.AcceptProxy {
				report(diag.Warning, CodeProxy, "loadBalancer.acceptProxyProtocol", site.Host+" expects a PROXY header",
					"nginx expects it of every name on the same address and port, GitLab's included", "set proxy_protocol for GitLab's vhost, too, or give kas an address of its own")
				break
			}
		}
	}
	if strings.HasPrefix(s.GitLab.ExternalURL, "http:") {
		report(diag.Warning, CodeInsecure, "gitlab.externalURL", "GitLab's own URL is http",
			"Omnibus then obtains no certificate, and the session cookie crosses the network in clear", "use https for GitLab, too")
	}
	fs.Sort()
	return fs
}

// taken calls found with the balancer's first address that covers GitLab's port
// of every address.
func taken(s *spec.Spec, found func(address, port string)) {
	for _, address := range s.LoadBalancer.Listen {
		if port, all := everywhere(address); all && port == gitlabPort(s) {
			found(address, port)
			return
		}
	}
}

// everywhere is the port of an address, and whether it is of every address.
func everywhere(address string) (port string, all bool) {
	host, port, err := net.SplitHostPort(address)
	return port, err == nil && (host == "" || net.ParseIP(host).IsUnspecified())
}

// portOf is the port of an address.
func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "" // the spec was checked
	}
	return port
}

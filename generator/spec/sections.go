package spec

import (
	"fmt"
	"strings"

	"kasgen/internal/kasconf"
)

// oldestKAS is the oldest kas that files are written for.
func oldestKAS() kasconf.Version { return kasconf.Version{Major: 16} }

// oldestNginx is the first with proxy_socket_keepalive.
func oldestNginx() kasconf.Version { return kasconf.Version{Major: 1, Minor: 15, Patch: 6} }

// alpnNginx is the first with ssl_alpn.
func alpnNginx() kasconf.Version { return kasconf.Version{Major: 1, Minor: 21, Patch: 4} }

func (c *checker) tls() {
	t := c.spec.TLS
	choice(c, "tls.source", t.Source, TLSFiles, TLSDevelopmentCA, TLSACME, TLSBalancer, TLSOmnibus)
	c.derivedPath("tls.certificateFile", t.CertificateFile)
	c.derivedPath("tls.keyFile", t.KeyFile)
	c.derivedPath("tls.combinedFile", t.CombinedFile)
	choice(c, "tls.minVersion", t.MinVersion, "1.2", "1.3")
	c.edgeTLS()
	c.acme()
}

func (c *checker) balancer() {
	lb := c.spec.LoadBalancer
	at := "loadBalancer."
	choice(c, at+"kind", lb.Kind, balancerKinds()...)
	choice(c, at+"tls", lb.TLS, Passthrough, Terminate, Reencrypt)
	choice(c, at+"alpn", lb.ALPN, ALPNNegotiated, ALPNNone)
	choice(c, at+"proxyProtocol", lb.ProxyProtocol, ProxyNone, ProxyV1, ProxyV2)
	choice(c, at+"acceptProxyProtocol", lb.AcceptProxyProtocol, ProxyNone, ProxyV1, ProxyV2)
	choice(c, at+"balance", lb.Balance, RoundRobin, LeastConn, SourceIP)
	c.atLeast(at+"maxConnections", lb.MaxConnections, 1, 1_000_000)
	if len(lb.Listen) == 0 && (!lb.Kind.External() || lb.Kind.ExternalHTTP()) {
		c.required(at + "listen")
	}
	c.networks(at+"realIPFrom", lb.RealIPFrom)
	for i, address := range lb.Listen {
		field := fmt.Sprintf("%slisten[%d]", at, i)
		c.listen(field, address)
	}
	c.distinct(at+"nodes", lb.Nodes)
	for i, node := range lb.Nodes {
		c.dialled(fmt.Sprintf("%snodes[%d]", at, i), node)
	}
	c.limit(at+"healthCheck.interval", lb.HealthCheck.Interval)
	c.atLeast(at+"healthCheck.fall", lb.HealthCheck.Fall, 1, 1000)
	c.atLeast(at+"healthCheck.rise", lb.HealthCheck.Rise, 1, 1000)
	choice(c, at+"shareWithGitLab.proxyProtocol", lb.ShareWithGitLab.ProxyProtocol, ProxyNone, ProxyV1, ProxyV2)
	if lb.ShareWithGitLab.Enabled {
		c.dialled(at+"shareWithGitLab.address", lb.ShareWithGitLab.Address)
	}
	c.listen(at+"shareWithGitLab.vhosts", lb.ShareWithGitLab.Vhosts)
	c.address("edge.listen", c.spec.Edge.Listen)
	for i, kept := range c.spec.Migration.Keep {
		field := fmt.Sprintf("migration.keep[%d]", i)
		c.address(field+".listen", kept.Listen)
		c.dialled(field+".backend", kept.Backend)
	}
}

// distinct reports an entry that is in a list twice.
func (c *checker) distinct(field string, list []string) {
	c.note(field, Rule{Unique: true})
	seen := map[string]bool{}
	for i, entry := range list {
		if seen[entry] {
			at := fmt.Sprintf("%s[%d]", field, i)
			c.add(CodeDuplicate, at, fmt.Sprintf("%s is %q, as in an entry above", at, entry), "it would be counted twice", "remove one")
		}
		seen[entry] = true
	}
}

func (c *checker) kas() {
	k := c.spec.KAS
	choice(c, "kas.kind", k.Kind, KASEmbedded, KASGitLab, KASExternal)
	c.version("kas.version", k.Version, oldestKAS(), "files are written for kas from "+oldestKAS().String()+" on")
	prefix := k.PathPrefix
	c.note("kas.pathPrefix", Rule{Form: FormPrefix})
	if !strings.HasPrefix(prefix, "/") || prefix == "/" || strings.HasSuffix(prefix, "/") || strings.Contains(prefix, "//") ||
		strings.Trim(prefix, "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") != "" ||
		strings.Contains(prefix+"/", "/./") || strings.Contains(prefix+"/", "/../") {
		c.add(CodePrefix, "kas.pathPrefix", fmt.Sprintf("kas.pathPrefix is %q", prefix),
			"it divides the Kubernetes API from the agents, which own every other path, so it is a path below / without a slash at its end", "write it like /k8s-proxy")
	}
	c.address("kas.listen.agent", k.Listen.Agent)
	c.address("kas.listen.kubernetesAPI", k.Listen.KubernetesAPI)
	c.address("kas.listen.observability", k.Listen.Observability)
	c.address("kas.listen.api", k.Listen.API)
	c.address("kas.listen.privateAPI", k.Listen.PrivateAPI)
	c.derivedPath("kas.secrets.gitlab", k.Secrets.GitLab)
	c.derivedPath("kas.secrets.api", k.Secrets.API)
	c.derivedPath("kas.secrets.privateAPI", k.Secrets.PrivateAPI)
	c.derivedPath("kas.secrets.websocketToken", k.Secrets.WebsocketToken)
	if k.Redis != nil {
		c.redis(*k.Redis)
	}
}

func (c *checker) redis(r Redis) {
	at := "kas.redis."
	switch {
	case r.Address == "" && r.Sentinel == nil:
		c.add(CodeRequired, at+"address", "kas.redis has neither address nor sentinel", "kas must know where Redis is", "set kas.redis.address, or kas.redis to null for none")
	case r.Address != "" && r.Sentinel != nil:
		c.add(CodeDuplicate, at+"sentinel", "kas.redis has both address and sentinel", "kas uses one of the two", "remove one")
	}
	if r.Address != "" && r.Sentinel == nil {
		c.dialled(at+"address", r.Address)
	}
	if s := r.Sentinel; s != nil {
		c.text(at+"sentinel.master", s.Master)
		c.filled(at+"sentinel.addresses", s.Addresses)
		c.distinct(at+"sentinel.addresses", s.Addresses)
		for i, address := range s.Addresses {
			c.dialled(fmt.Sprintf("%ssentinel.addresses[%d]", at, i), address)
		}
		c.optionalPath(at+"sentinel.passwordFile", s.PasswordFile)
	}
	c.optionalPath(at+"passwordFile", r.PasswordFile)
	if t := r.TLS; t != nil {
		c.optionalPath(at+"tls.caFile", t.CAFile)
		c.optionalPath(at+"tls.certificateFile", t.CertificateFile)
		c.optionalPath(at+"tls.keyFile", t.KeyFile)
		if (t.CertificateFile == "") != (t.KeyFile == "") {
			c.add(CodeRequired, at+"tls", "kas.redis.tls has one of certificateFile and keyFile", "TLS needs both", "set both, or neither")
		}
	}
}

func (c *checker) timeouts() {
	t := c.spec.Timeouts
	c.limit("timeouts.connect", t.Connect)
	c.limit("timeouts.idle", t.Idle)
	c.limit("timeouts.drain", t.Drain)
	c.limit("timeouts.handshake", t.Handshake)
	c.limit("timeouts.sniff", t.Sniff)
	c.limit("timeouts.header", t.Header)
	c.limit("timeouts.keepalive", t.Keepalive)
}

func (c *checker) nginx() {
	c.version("nginx.version", c.spec.Nginx.Version, oldestNginx(), "older ones cannot keep idle connections of the stream module alive")
	c.note("nginx.streamModule", Rule{Form: FormModule})
	if m := c.spec.Nginx.StreamModule; strings.ContainsFunc(m, unquotable) || strings.Contains(m, "..") {
		c.add(CodePath, "nginx.streamModule", fmt.Sprintf("nginx.streamModule is %q", m), "it names a file of nginx's modules",
			"write it like modules/ngx_stream_module.so, or empty where stream is compiled in")
	}
}

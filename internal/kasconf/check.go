package kasconf

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"kasgen/internal/diag"
)

// checker holds a file to the rules of gitlab.agent.kascfg.
type checker struct {
	doc      Places
	findings *diag.Findings
}

func check(f *File, doc Places, findings *diag.Findings) {
	c := &checker{doc: doc, findings: findings}
	c.gitlab(f.Gitlab)
	if f.Agent != nil {
		c.agent(f.Agent)
	}
	if f.Observability != nil {
		c.observability(f.Observability)
	}
	if f.Gitaly != nil {
		c.rate("gitaly.global_api_rate_limit", f.Gitaly.GlobalAPIRateLimit)
		c.rate("gitaly.per_server_api_rate_limit", f.Gitaly.PerServerAPIRateLimit)
	}
	if f.Redis != nil {
		c.redis(f.Redis)
	}
	switch {
	case f.API == nil:
		c.required("api", "")
	case f.API.Listen == nil:
		c.required("api.listen", "")
	default:
		c.apiListen("api.listen", *f.API.Listen)
	}
	switch {
	case f.PrivateAPI == nil:
		c.required("private_api", "")
	case f.PrivateAPI.Listen == nil:
		c.required("private_api.listen", "")
	default:
		c.apiListen("private_api.listen", f.PrivateAPI.Listen.APIListen)
	}
	if f.Workspaces != nil && f.Workspaces.Listen != nil {
		l := f.Workspaces.Listen
		c.network("workspaces.listen.network", l.Network)
		c.positive("workspaces.listen.listen_grace_period", l.ListenGracePeriod)
		c.positive("workspaces.listen.shutdown_grace_period", l.ShutdownGracePeriod)
	}
}

func (c *checker) add(code, field, what, why, fix string) {
	if c.doc.faulty(field) {
		return // what could not be decoded is zero here
	}
	c.findings.Add(diag.Finding{Code: code, Pos: c.doc.Pos(field), Field: field, What: what, Why: why, Fix: fix})
}

// required reports a value that is empty and must not be.
func (c *checker) required(field, value string) {
	if value == "" {
		c.add(CodeRequired, field, field+" is not set", "kas does not start without it", "set it")
	}
}

// present reports a value that may be left out but not be empty.
func (c *checker) present(field string, value *string) {
	if value != nil && *value == "" {
		c.add(CodeRequired, field, field+" is empty", "kas accepts a value or none at all", "set it, or remove the key")
	}
}

func (c *checker) uri(field, value string) {
	if u, err := url.Parse(value); value != "" && (err != nil || u.Scheme == "") {
		c.add(CodeAddress, field, fmt.Sprintf("%s is %q", field, value), "it must be a URI with a scheme", "write it like https://gitlab.example.com")
	}
}

func (c *checker) positive(field string, d *Duration) {
	if d != nil && *d <= 0 {
		c.add(CodeDuration, field, fmt.Sprintf("%s is %s", field, d), "it must be more than zero", "set it, or remove the key for kas's default")
	}
}

func (c *checker) notNegative(field string, d *Duration) {
	if d != nil && *d < 0 {
		c.add(CodeDuration, field, fmt.Sprintf("%s is %s", field, d), "it cannot be negative", "set it, or remove the key for kas's default")
	}
}

func (c *checker) network(field, value string) {
	if (value != "" || c.doc.Has(field)) && !slices.Contains([]string{"tcp", "tcp4", "tcp6", "unix"}, value) {
		c.add(CodeChoice, field, fmt.Sprintf("%s is %q", field, value), "it is tcp, tcp4, tcp6 or unix", "write one of them, or remove the key for tcp")
	}
}

// headerName reports what can be no HTTP header's name (RFC 9110, section 5.6.2).
func (c *checker) headerName(field, name string) {
	if !httpguts.ValidHeaderFieldName(name) {
		c.add(CodeChoice, field, fmt.Sprintf("%s is %q", field, name), "it is the name of an HTTP header", "write it like X-My-Header, without a colon")
	}
}

// pair reports a certificate without its key, which kas refuses at start.
func (c *checker) pair(at, certificate, key string) {
	if (certificate == "") != (key == "") {
		set, unset := "certificate_file", "key_file"
		if certificate == "" {
			set, unset = unset, set
		}
		c.add(CodePair, at+"."+set, fmt.Sprintf("%s.%s is set without %s", at, set, unset), "TLS needs both", "set "+unset+" too, or remove "+set)
	}
}

func (c *checker) rate(at string, r *RateLimit) {
	if r != nil && r.RefillRatePerSecond < 0 {
		field := at + ".refill_rate_per_second"
		c.add(CodeNumber, field, fmt.Sprintf("%s is %g", field, r.RefillRatePerSecond), "it cannot be negative", "set it to 0 or more")
	}
}

func (c *checker) gitlab(g *Gitlab) {
	if g == nil {
		c.required("gitlab", "")
		return
	}
	c.required("gitlab.address", g.Address)
	c.uri("gitlab.address", g.Address)
	c.required("gitlab.authentication_secret_file", g.AuthenticationSecretFile)
	c.present("gitlab.external_url", g.ExternalURL)
	if g.ExternalURL != nil {
		c.uri("gitlab.external_url", *g.ExternalURL)
	}
	c.rate("gitlab.api_rate_limit", g.APIRateLimit)
}

func (c *checker) agent(a *Agent) {
	if l := a.Listen; l != nil {
		c.network("agent.listen.network", l.Network)
		c.pair("agent.listen", l.CertificateFile, l.KeyFile)
		c.positive("agent.listen.max_connection_age", l.MaxConnectionAge)
		c.positive("agent.listen.listen_grace_period", l.ListenGracePeriod)
	}
	if a.Configuration != nil {
		c.positive("agent.configuration.poll_period", a.Configuration.PollPeriod)
	}
	c.notNegative("agent.info_cache_ttl", a.InfoCacheTTL)
	c.positive("agent.info_cache_error_ttl", a.InfoCacheErrorTTL)
	c.positive("agent.redis_conn_info_ttl", a.RedisConnInfoTTL)
	c.positive("agent.redis_conn_info_refresh", a.RedisConnInfoRefresh)
	c.positive("agent.redis_conn_info_gc", a.RedisConnInfoGC)
	refresh, ttl := a.RedisConnInfoRefresh.Or(240*time.Second), a.RedisConnInfoTTL.Or(300*time.Second)
	if refresh >= ttl {
		field := "agent.redis_conn_info_refresh"
		if !c.doc.Has(field) {
			field = "agent.redis_conn_info_ttl"
		}
		c.add(CodeRefresh, field, fmt.Sprintf("agent.redis_conn_info_refresh, %v, is not below agent.redis_conn_info_ttl, %v", refresh, ttl),
			"an entry must be refreshed before it ends", "make the refresh shorter than the ttl")
	}
	if a.RemoteDevelopment != nil {
		c.positive("agent.remote_development.poll_period", a.RemoteDevelopment.PollPeriod)
	}
	if a.ReceptiveAgent != nil {
		c.positive("agent.receptive_agent.poll_period", a.ReceptiveAgent.PollPeriod)
	}
	k := a.KubernetesAPI
	if k == nil {
		return
	}
	for i, name := range k.ExtraAllowedResponseHeaders {
		c.headerName(fmt.Sprintf("agent.kubernetes_api.extra_allowed_response_headers[%d]", i), name)
	}
	c.notNegative("agent.kubernetes_api.allowed_agent_cache_ttl", k.AllowedAgentCacheTTL)
	c.positive("agent.kubernetes_api.allowed_agent_cache_error_ttl", k.AllowedAgentCacheErrorTTL)
	if l := k.Listen; l != nil {
		c.network("agent.kubernetes_api.listen.network", l.Network)
		c.pair("agent.kubernetes_api.listen", l.CertificateFile, l.KeyFile)
		c.positive("agent.kubernetes_api.listen.listen_grace_period", l.ListenGracePeriod)
		c.positive("agent.kubernetes_api.listen.shutdown_grace_period", l.ShutdownGracePeriod)
	}
}

func (c *checker) observability(o *Observability) {
	c.notNegative("observability.usage_reporting_period", o.UsageReportingPeriod)
	if l := o.Listen; l != nil {
		c.network("observability.listen.network", l.Network)
		c.present("observability.listen.certificate_file", l.CertificateFile)
		c.present("observability.listen.key_file", l.KeyFile)
		c.pair("observability.listen", text(l.CertificateFile), text(l.KeyFile))
	}
	if t := o.Tracing; t != nil {
		c.required("observability.tracing.otlp_endpoint", t.OTLPEndpoint)
		c.uri("observability.tracing.otlp_endpoint", t.OTLPEndpoint)
		c.present("observability.tracing.otlp_token_secret_file", t.OTLPTokenSecretFile)
		c.present("observability.tracing.otlp_ca_certificate_file", t.OTLPCACertificateFile)
	}
}

func (c *checker) apiListen(at string, l APIListen) {
	c.network(at+".network", l.Network)
	c.required(at+".authentication_secret_file", l.AuthenticationSecretFile)
	c.pair(at, l.CertificateFile, l.KeyFile)
	c.positive(at+".max_connection_age", l.MaxConnectionAge)
	c.positive(at+".listen_grace_period", l.ListenGracePeriod)
}

func (c *checker) redis(r *Redis) {
	switch {
	case r.Server == nil && r.Sentinel == nil:
		c.add(CodeRedis, "redis", "redis names neither server nor sentinel", "kas must know where Redis is", "set redis.server.address, or remove redis")
	case r.Server != nil && r.Sentinel != nil:
		c.add(CodeRedis, "redis.sentinel", "redis names both server and sentinel", "kas uses one of the two", "remove one")
	}
	if !slices.Contains([]string{"", "tcp", "unix"}, r.Network) {
		c.add(CodeChoice, "redis.network", fmt.Sprintf("redis.network is %q", r.Network), "it is tcp or unix", "write one of them, or remove the key for tcp")
	}
	if s := r.Server; s != nil {
		c.required("redis.server.address", s.Address)
		if s.Address != "" && r.Network != "unix" && !isHostPort(s.Address) {
			c.add(CodeAddress, "redis.server.address", fmt.Sprintf("redis.server.address is %q", s.Address), "it must be host:port", "write it like 127.0.0.1:6379, without a scheme")
		}
	}
	if s := r.Sentinel; s != nil {
		c.required("redis.sentinel.master_name", s.MasterName)
		c.required("redis.sentinel.addresses", strings.Join(s.Addresses, ""))
		for i, address := range s.Addresses {
			c.required(fmt.Sprintf("redis.sentinel.addresses[%d]", i), address)
		}
	}
	if r.TLS != nil {
		c.pair("redis.tls", r.TLS.CertificateFile, r.TLS.KeyFile)
	}
	c.positive("redis.dial_timeout", r.DialTimeout)
	c.positive("redis.write_timeout", r.WriteTimeout)
	if r.DatabaseIndex < 0 {
		c.add(CodeNumber, "redis.database_index", fmt.Sprintf("redis.database_index is %d", r.DatabaseIndex), "it cannot be negative", "set it to 0 or more")
	}
}

func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

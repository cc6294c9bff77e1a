package spec

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// advice warns of what works and will hurt.
func (c *checker) advice() {
	c.cookies()
	c.cleartext()
	c.removal()
	c.development()
	c.people()
	c.foreignLimits()
	c.ownCache()
	c.where()
	c.otherRegistry()
	c.ownTickets()
}

// cookies warns where the Kubernetes dashboard in GitLab cannot work: browsers
// send a cookie to the host that set it and to names below it (RFC 6265
// section 5.1.3).
func (c *checker) cookies() {
	u, err := url.Parse(c.spec.GitLab.ExternalURL)
	name, host := c.spec.Names.KAS, ""
	if err == nil {
		host = strings.ToLower(u.Hostname())
	}
	if !properName(host) || !properName(name) || name == host || strings.HasSuffix(name, "."+host) {
		return
	}
	c.warn(CodeCookies, "names.kas", fmt.Sprintf("%s is not below GitLab's name, %s", name, host),
		"browsers will not send GitLab's session cookie there, so the Kubernetes dashboard in GitLab gets 401",
		"name it like kas."+host+", or suppress this where nobody uses the dashboard")
}

// properName says whether s is a host name and no address, below which there
// would be no names.
func properName(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && isName(s)
}

func (c *checker) cleartext() {
	if u, err := url.Parse(c.spec.GitLab.ExternalURL); err == nil && u.Scheme == "http" {
		c.warn(CodePlainGitLab, c.written("gitlab.externalURL", "gitlab.url"), "people reach GitLab by http: "+c.spec.GitLab.ExternalURL,
			"GitLab shows kas's addresses with its own scheme, and kubectl sends no token over http", "set gitlab.externalURL to the https URL of GitLab")
	}
	u, err := url.Parse(c.spec.GitLab.URL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	e, err := parseEndpoint(strings.ToLower(net.JoinHostPort(u.Hostname(), port)))
	if err == nil && !e.loopback() {
		c.warn(CodePlainCalls, "gitlab.url", "kas calls GitLab by http: "+c.spec.GitLab.URL,
			"each call carries the token of an agent or a person across the network", "write the https URL, or suppress this on a network that nobody else reads")
	}
}

func (c *checker) removal() {
	a := c.spec.Agents
	day, err := time.Parse(time.DateOnly, string(a.RemoveAfter))
	if err == nil && a.Websocket == WebsocketKeep && c.today.After(day) {
		c.warn(CodeRemoval, "agents.removeAfter", fmt.Sprintf("agents.removeAfter, %s, is over", a.RemoveAfter),
			"the day ends nothing by itself, and agents may still connect by WebSocket", "write agents.websocket: remove if none does, else another day")
	}
}

func (c *checker) development() {
	who := ""
	switch {
	case c.spec.TLS.Source != TLSDevelopmentCA:
		return
	case c.spec.KAS.Kind == KASGitLab || c.spec.KAS.Kind == KASExternal:
		who = "GitLab's own kas has"
	case len(c.spec.LoadBalancer.Nodes) > 1:
		who = fmt.Sprintf("%d nodes have", len(c.spec.LoadBalancer.Nodes))
	default:
		return
	}
	c.warn(CodeDevelopmentCA, "tls.source", who+" a certificate of the development CA",
		"no agent and no kubectl trusts it unless told, and each machine would make a CA of its own", "use tls.source: files with a certificate that clients trust")
}

func (c *checker) people() {
	// kubectl exec at a prompt, logs -f and helm --wait; Omnibus's vhost gave
	// 60 s until 18.11 and gives 2 h since.
	const least = 30 * time.Minute
	idle := time.Duration(c.spec.Timeouts.Idle)
	if idle >= leastIdle && idle < least {
		c.warn(CodeShortIdle, "timeouts.idle", fmt.Sprintf("timeouts.idle is %v", idle),
			"agents ping each minute, but kubectl exec at a prompt, logs -f and helm --wait carry no byte for longer", "write 30m or more")
	}
}

// foreignLimits warns of limits that kasgen neither writes nor sees. Those of
// HTTP balancers are short: 30 s without a byte in Google's, 60 s in Amazon's.
func (c *checker) foreignLimits() {
	sh, idle := c.spec.Topology.shape(), time.Duration(c.spec.Timeouts.Idle)
	for _, b := range []struct {
		field string
		kind  BalancerKind
		used  bool
	}{
		{"loadBalancer.kind", c.spec.LoadBalancer.Kind, slices.Contains(sh.balancers, c.spec.LoadBalancer.Kind)},
		{"grpcBalancer.kind", c.spec.GRPCBalancer.Kind, slices.Contains(sh.grpc, c.spec.GRPCBalancer.Kind)},
	} {
		if b.used && b.kind.ExternalHTTP() {
			c.warn(CodeForeignLimits, b.field, fmt.Sprintf("the %s balancer has time limits of its own", b.kind),
				"they are often 30 or 60 s, and cut agents, watches and kubectl exec whatever the files say",
				fmt.Sprintf("set them to %v there, and suppress this", idle))
		}
	}
}

// otherRegistry warns of what the embedded kas will refuse to run.
func (c *checker) otherRegistry() {
	if c.spec.KAS.Kind != KASEmbedded || c.spec.KAS.Redis == nil {
		return
	}
	c.warn(CodeEmbeddedRedis, "kas.redis", "the embedded kas has no Redis",
		"it keeps its tunnels in memory, and `run` refuses a file that says otherwise unless --registry memory is given",
		"use kas.kind: gitlab if GitLab's kas is to run the file; else set kas.redis to null")
}

package agent

import (
	"fmt"
	"net/http"
	"strings"

	"k8s.io/client-go/transport"

	"kasgen/internal/kasrpc/kubeapi"
)

// transportFor is the way of one request to the API server: upgrades need
// HTTP/1.1, and kas may say whom the request is made for.
func (c *cluster) transportFor(in *incoming) (http.RoundTripper, error) {
	rt := c.plain
	if in.upgrade() {
		rt = c.upgrade
	}
	var byKas *kubeapi.ImpersonationConfig
	if in.extra != nil {
		var extra kubeapi.HeaderExtra
		if err := in.extra.UnmarshalTo(&extra); err != nil {
			return nil, fmt.Errorf("reading extra: %w", err)
		}
		byKas = extra.GetImpConfig()
	}
	var sources []string
	if c.impersonates {
		sources = append(sources, "the agent's kubeconfig")
	}
	if byKas != nil {
		sources = append(sources, "kas")
	}
	if impersonatesByHeader(in.header) {
		sources = append(sources, "the client's Impersonate headers")
	}
	if len(sources) > 1 {
		return nil, fmt.Errorf("nested impersonation is not supported, and it is asked for by %s", strings.Join(sources, " and by "))
	}
	if byKas == nil {
		return rt, nil
	}
	return transport.NewImpersonatingRoundTripper(impersonationOf(byKas), rt), nil
}

func impersonatesByHeader(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}

func impersonationOf(c *kubeapi.ImpersonationConfig) transport.ImpersonationConfig {
	t := transport.ImpersonationConfig{UserName: c.GetUsername(), UID: c.GetUid(), Groups: c.GetGroups()}
	for _, x := range c.GetExtra() {
		if t.Extra == nil {
			t.Extra = map[string][]string{}
		}
		t.Extra[x.GetKey()] = append(t.Extra[x.GetKey()], x.GetVal()...)
	}
	return t
}

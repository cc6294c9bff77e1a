package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	agentpb "kasgen/internal/kasrpc/agent"
)

// cluster is the API server.
type cluster struct {
	base           *url.URL
	plain, upgrade http.RoundTripper
	impersonates   bool // by kubeconfig
	closeIdle      func()
}

// newCluster makes transports of its own: those that client-go shares and
// keeps could not be ended with the agent.
func newCluster(config *rest.Config) (*cluster, error) {
	switch {
	case config == nil:
		return nil, errors.New("there is none")
	case config.Proxy != nil:
		return nil, errors.New("proxy-url is not supported: the agent reaches the API server directly")
	case config.Transport != nil:
		return nil, errors.New("a custom transport is not supported: upgrades need a connection of their own")
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	// A copy, because reading certificate files writes into it.
	shared, err := rest.CopyConfig(config).TransportConfig()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := transport.TLSConfigFor(shared)
	if err != nil {
		return nil, err
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dial := (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	if shared.DialHolder != nil {
		dial = shared.DialHolder.Dial
	}
	plain := &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     tlsConfig.Clone(),
		TLSHandshakeTimeout: tlsHandshakeTimeout,
		ForceAttemptHTTP2:   true,
		// client-go's: an API server is asked much by few agents.
		MaxIdleConnsPerHost: 25,
		IdleConnTimeout:     90 * time.Second,
	}
	c := &cluster{
		base:         base,
		impersonates: impersonates(config.Impersonate),
		closeIdle:    plain.CloseIdleConnections,
	}
	if c.plain, err = transport.HTTPWrappersForConfig(shared, plain); err != nil {
		return nil, err
	}
	c.upgrade, err = transport.HTTPWrappersForConfig(shared, newUpgradeTransport(dial, tlsConfig))
	return c, err
}

func impersonates(c rest.ImpersonationConfig) bool {
	return c.UserName != "" || c.UID != "" || len(c.Groups) > 0 || len(c.Extra) > 0
}

// version asks the API server for its own.
func (c *cluster) version(ctx context.Context) (*agentpb.KubernetesVersion, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("version").String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.plain.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET /version: %s", response.Status)
	}
	var v struct {
		Major, Minor, GitVersion, Platform string
	}
	if err := json.NewDecoder(response.Body).Decode(&v); err != nil {
		return nil, fmt.Errorf("GET /version: %w", err)
	}
	return &agentpb.KubernetesVersion{
		Major: v.Major, Minor: v.Minor, GitVersion: v.GitVersion, Platform: v.Platform,
	}, nil
}

package kas

import (
	"fmt"
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

// TestGrace: a listener with a grace period goes on accepting when the others
// have closed, and kas says meanwhile that it is not ready.
func TestGrace(t *testing.T) {
	t.Parallel()
	gitlab := httptest.NewServer(gitlabHandler("null"))
	t.Cleanup(gitlab.Close)
	k := startFile(t, fmt.Sprintf(`
gitlab: {address: %q, authentication_secret_file: secret}
agent:
  listen: {address: "127.0.0.1:0"}
  kubernetes_api: {listen: {address: "localhost:0", listen_grace_period: 3s, shutdown_grace_period: 1s}}
observability: {listen: {address: "[::1]:0"}}
api: {listen: {address: "127.0.0.1:1", authentication_secret_file: secret}}
private_api: {listen: {address: "127.0.0.1:2", authentication_secret_file: secret}}
`, gitlab.URL), nil, nil)
	stopped := make(chan error, 1)
	go func() { stopped <- k.stop() }()
	for _, address := range []string{k.agents, k.internal, k.private} {
		for end := time.Now().Add(20 * time.Second); ; {
			c, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			c.Close()
			if time.Now().After(end) {
				t.Fatalf("%s still accepts", address)
			}
		}
	}
	if resp, _ := request(t, k, "GET", "/version", "", nil); resp.StatusCode != 401 {
		t.Errorf("in its grace period: %d", resp.StatusCode)
	}
	observe := k
	observe.api = k.observe
	if resp, _ := request(t, observe, "GET", "/readiness", "", nil); resp.StatusCode != 503 {
		t.Errorf("readiness in the grace period: %d", resp.StatusCode)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", k.api); err == nil {
		c.Close()
		t.Error("the listener is open after its grace period")
	}
}

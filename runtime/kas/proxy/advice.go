package proxy

import (
	"fmt"
	"net/http"
	"strings"
)

// streaming is the subresource of a pod that cannot be used without an
// upgrade, "" if the path is none.
func streaming(path string) string {
	rest, ok := strings.CutPrefix(path, "/api/v1/namespaces/")
	if !ok {
		return ""
	}
	// NAMESPACE/pods/NAME/SUBRESOURCE. Deeper ones are a pod's or a service's
	// own web server.
	parts := strings.Split(rest, "/")
	if len(parts) != 4 || parts[1] != "pods" {
		return ""
	}
	switch parts[3] {
	case "exec", "attach":
		return parts[3]
	case "portforward":
		return "port-forward"
	default:
		return ""
	}
}

// adviseUpgrade says what to change when a request to exec, attach or
// portforward came without an upgrade. kubectl prints it, where it would
// otherwise say that the server did not understand, or wait.
func adviseUpgrade(h http.Header, subresource string) string {
	const balancer = "a load balancer or proxy on the way has taken the headers Upgrade and Connection away"
	const cluster = "over WebSocket, kubectl exec needs a cluster of Kubernetes 1.30 or later and port-forward one of 1.31; with an older one kubectl falls back to SPDY"
	switch {
	case len(h["Sec-Websocket-Key"]) > 0:
		return fmt.Sprintf("%s came as a WebSocket without its upgrade: %s. Let it pass both over HTTP/1.1 (proxy_set_header in nginx, a protocol of HTTP/1.1 towards kas), or put a TCP load balancer in its place", subresource, balancer)
	case len(h["X-Stream-Protocol-Version"]) > 0:
		return fmt.Sprintf("%s came as SPDY without its upgrade: %s. Use kubectl 1.31 or later, which speaks WebSocket by default, or put a TCP load balancer in its place, which passes SPDY too. If this is kubectl 1.31 or later, the cluster may be too old: %s", subresource, balancer, cluster)
	default:
		return fmt.Sprintf("%s needs an upgraded connection, and the request asks for none. If kubectl has sent it, %s: let it pass both over HTTP/1.1, or put a TCP load balancer in its place. Use kubectl 1.31 or later, which speaks WebSocket by default. The cluster may be too old, too: %s", subresource, balancer, cluster)
	}
}

// checkUpgrade says why a request to path cannot be upgraded as it asks, or "".
// upgrade and fault are what it asks for.
func checkUpgrade(r *http.Request, path, upgrade string, fault error) string {
	subresource := ""
	if upgrade == "" {
		subresource = streaming(path)
	}
	switch {
	case fault != nil && subresource != "":
		return fault.Error() + ": " + adviseUpgrade(r.Header, subresource)
	case fault != nil:
		return fault.Error()
	case subresource != "":
		return adviseUpgrade(r.Header, subresource)
	case upgrade != "" && !upgradable(upgrade):
		return "an upgrade to " + upgrade + " is not possible here, only to websocket and SPDY/3.1"
	case upgrade != "" && r.ContentLength != 0:
		return "a request to upgrade the connection cannot have a body"
	default:
		return ""
	}
}

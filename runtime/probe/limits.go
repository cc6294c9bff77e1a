package probe

import "time"

// known is a limit for silence that somebody documents as a default.
type known struct {
	limit time.Duration
	of    string
}

// The limits, each with who documents it.
var knownLimits = [...]known{
	{30 * time.Second, "30 s is the backend service's timeout on Google Cloud's HTTP load balancers (GKE), unless told otherwise"},
	{60 * time.Second, "60 s is nginx's proxy_read_timeout, grpc_read_timeout and client_body_timeout, and an AWS ALB's idle timeout, unless told otherwise"},
	{100 * time.Second, "100 s is Cloudflare's"},
	{4 * time.Minute, "4 min is an Azure load balancer's idle timeout, unless told otherwise"},
	{350 * time.Second, "350 s is an AWS NLB's idle timeout, unless told otherwise"},
	{2 * time.Hour, "2 h is what kasgen's own files say"},
}

// nearest is the known limit that d is, give or take a twentieth, or "".
func nearest(d time.Duration) string {
	for _, k := range knownLimits {
		if diff := d - k.limit; diff.Abs() <= k.limit/coarse+time.Second {
			return k.of
		}
	}
	return ""
}

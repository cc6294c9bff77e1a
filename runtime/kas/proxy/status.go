package proxy

import (
	"encoding/json"
	"net/http"
)

// statusBody is the part of Kubernetes' v1 Status that errors need. It is written
// here rather than imported, so that kas does not carry Kubernetes' types.
type statusBody struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   struct{} `json:"metadata"`
	Status     string   `json:"status"`
	Message    string   `json:"message"`
	Reason     string   `json:"reason,omitempty"`
	Code       int      `json:"code"`
}

// reason is metav1.StatusReason by code. 502 has none in Kubernetes.
func reason(code int) string {
	switch code {
	case http.StatusBadRequest:
		return "BadRequest"
	case http.StatusUnauthorized:
		return "Unauthorized"
	case http.StatusForbidden:
		return "Forbidden"
	case http.StatusNotFound:
		return "NotFound"
	case http.StatusMethodNotAllowed:
		return "MethodNotAllowed"
	case http.StatusRequestEntityTooLarge:
		return "RequestEntityTooLarge"
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	case http.StatusInternalServerError:
		return "InternalError"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	case http.StatusGatewayTimeout:
		return "Timeout"
	default:
		return ""
	}
}

// Refusal is a v1 Status for a request that does not come as far as the proxy.
func Refusal(code int, reason string) (contentType, body string) {
	text, err := statusOf(code, reason)
	if err != nil {
		return "text/plain; charset=utf-8", reason // cannot be: it is a struct of texts
	}
	return "application/json", string(text)
}

func statusOf(code int, message string) ([]byte, error) {
	text, err := json.MarshalIndent(statusBody{Kind: "Status", APIVersion: "v1", Status: "Failure",
		Message: "kas: " + message, Reason: reason(code), Code: code}, "", "  ")
	return append(text, '\n'), err
}

// fail answers with a v1 Status, which kubectl prints. err, which may name
// hosts, goes to the log only.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, code int, message string, err error) {
	if err != nil {
		p.Log.WarnContext(r.Context(), "a proxied request failed", "code", code, "message", message, "error", err)
	}
	p.metrics.answered(code)
	w.Header().Set("Server", "kasgen/"+p.Version)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	body, err := statusOf(code, message)
	if err == nil {
		_, err = w.Write(body)
	}
	if err != nil {
		p.Log.DebugContext(r.Context(), "writing an error", "error", err)
	}
}

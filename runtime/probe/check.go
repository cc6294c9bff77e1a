package probe

import (
	"fmt"
	"math"
	"time"

	"kasgen/internal/diag"
)

// Result is how a check came out.
type Result string

// The results.
const (
	Pass Result = "pass"
	Warn Result = "warn" // works, and will hurt
	Fail Result = "fail"
	Skip Result = "skip" // not tried; Observed says why
)

// Check is how one check came out.
type Check struct {
	Layer    Layer  `json:"layer"`
	ID       ID     `json:"check"`
	Name     string `json:"name"` // the host name that it was tried for
	Result   Result `json:"result"`
	MS       Millis `json:"ms"` // 0 of what was skipped
	Observed string `json:"detail"`
	Code     string `json:"code"` // of a warning or a failure, else empty
	Why      string `json:"why,omitempty"`
	Fix      string `json:"fix,omitempty"`
	// At is the line of the bundle that is likely to blame, and Line what is
	// said about it.
	At   *diag.Pos `json:"at,omitempty"`
	Line string    `json:"line,omitempty"`

	cause cause         // for whoever looks for the line
	limit time.Duration // that was measured
}

// Millis is a time in milliseconds, to the tenth.
type Millis float64

func millis(d time.Duration) Millis { return Millis(math.Round(float64(d)/1e5) / 10) }

func (c Check) finding(s diag.Severity) diag.Finding {
	f := diag.Finding{Code: c.Code, Severity: s, Field: string(c.ID), What: c.title() + ": " + c.Observed, Why: c.Why, Fix: c.Fix}
	if c.At != nil {
		f.Pos = *c.At
	}
	return f
}

func (c Check) title() string { return string(c.ID) + " of " + c.Name }

func passed(format string, args ...any) Check {
	return Check{Result: Pass, Observed: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) Check {
	return Check{Result: Skip, Observed: fmt.Sprintf(format, args...)}
}

// Codes of findings.
const (
	codeName      = "KAS3201" // the name does not resolve
	codeTCP       = "KAS3202" // nobody takes connections
	codeProxy     = "KAS3203" // one side speaks PROXY and the other does not
	codeTLS       = "KAS3204" // no TLS
	codeChain     = "KAS3205" // a certificate nobody trusts
	codeCertName  = "KAS3206" // another name's certificate
	codeExpiry    = "KAS3207" // expired, not yet valid, or soon to expire
	codeALPN      = "KAS3208" // ALPN that keeps clients from what they need
	codeHTTP      = "KAS3209" // no HTTP/1.1
	codeRedirect  = "KAS3210" // redirects, which agents do not follow
	codeWebSocket = "KAS3211" // a WebSocket that loses its upgrade
	codeNotKAS    = "KAS3212" // somebody else answers
	codeHTTP2Only = "KAS3213" // HTTP/2 where HTTP/1.1 belongs
	codeGRPC      = "KAS3214" // gRPC does not get through
	codeGRPCALPN  = "KAS3215" // gRPC only with h2 in ALPN
	codeAgentPort = "KAS3216" // proxy requests go to the agents' port
	codePrefix    = "KAS3217" // the prefix does not fit kas
	codeGateway   = "KAS3218" // the front does not reach kas
	codeErrorPage = "KAS3219" // the front's error page instead of kas's answer
	codeUpgrade   = "KAS3220" // kubectl's upgrade is taken away
	codeSPDY      = "KAS3221" // SPDY is refused, with advice
	codeDenied    = "KAS3222" // the token, the agent or the pod is of no use
	codeBuffering = "KAS3223" // answers are kept until they are whole
	codeBody      = "KAS3224" // a limit of the body's size
	codeIdle      = "KAS3225" // silent streams are cut
	codeReload    = "KAS3226" // a reload soon ends streams
)

// cause is what is known about why, for whoever looks for the line.
type cause string

const (
	causeNone       cause = ""
	causeUpgrade    cause = "upgrade"     // Upgrade and Connection are lost
	causeHTTP10     cause = "http10"      // the request arrived as HTTP/1.0
	causeUpHeader   cause = "upgrade-hdr" // the Upgrade header alone is lost
	causeConnHeader cause = "connection-hdr"
	causeVersion    cause = "tls-version"
	causeRefused    cause = "name-refused" // TLS is refused for the name
	causeCleartext  cause = "cleartext"    // a web server without TLS
	causeToTLS      cause = "to-tls"       // cleartext behind the front, to who has TLS

	causeAuthorization cause = "authorization" // the header is lost
)

func failed(code, observed, why, fix string) Check {
	return Check{Result: Fail, Code: code, Observed: observed, Why: why, Fix: fix}
}

// warned is a failure that nothing breaks on yet.
func (c Check) warned() Check {
	c.Result = Warn
	return c
}

func (c Check) because(x cause) Check {
	c.cause = x
	return c
}

package balancer

import (
	"crypto/tls"
	"net/netip"
)

// Cause is why a connection ended, as the log says it.
type Cause string

// Why connections end.
const (
	CauseDone          Cause = "completed"
	CauseRejected      Cause = "rejected by rule"
	CauseNoBackend     Cause = "no backend"
	CauseNoData        Cause = "client sent too little"
	CauseHeader        Cause = "bad PROXY header"
	CauseHandshake     Cause = "TLS handshake failed"
	CauseConnect       Cause = "backend connection failed"
	CauseNoServer      Cause = "no server available"
	CauseQueue         Cause = "queue timeout"
	CauseClientIdle    Cause = "client timeout"
	CauseServerIdle    Cause = "server timeout"
	CauseClientAborted Cause = "client aborted"
	CauseServerAborted Cause = "server aborted"
	CauseDrained       Cause = "drain time is over"
)

// View is what is known of a client while its route is looked for.
type View struct {
	// Client and Local are the two ends as the client sees them, by the
	// PROXY header where there is one.
	Client, Local netip.AddrPort
	// TLS is set where TLS was ended.
	TLS *tls.ConnectionState
	// Payload is the first bytes, behind TLS where that was ended.
	Payload []byte
	// Expired, Ended and Full say why no more will come.
	Expired, Ended, Full bool

	parsed int // length of Payload that hello was parsed from, plus 1
	hello  Hello
	state  HelloState
}

// Final says that no more bytes will come.
func (v *View) Final() bool { return v.Expired || v.Ended || v.Full }

// Hello is the TLS ClientHello in the payload.
func (v *View) Hello() (Hello, HelloState) {
	if v.parsed != len(v.Payload)+1 {
		v.hello, v.state = ParseHello(v.Payload)
		v.parsed = len(v.Payload) + 1
	}
	return v.hello, v.state
}

// Decision is an answer of Route: a backend, a wait for more, or, with
// neither, the end of the connection for the given cause.
type Decision struct {
	Wait    bool
	Backend *Backend
	Cause   Cause
}

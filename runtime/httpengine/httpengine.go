// Package httpengine is the HTTP under nginx's http{} and HAProxy's mode http:
// listeners that speak HTTP/1.1 and HTTP/2, and upstreams that a request is
// sent on to, as HTTP/1.1 with upgrades or as HTTP/2 for gRPC. It knows neither
// file format, neither locations nor backends: what differs between the two
// programs is a field of its types. Its law: what the caller says is on the
// wire, byte for byte where HTTP allows a choice; what cannot be read in one
// way only is refused; and an answer that broke off never looks like one that
// ended.
//
// A caller makes a Server for each socket and an Upstream for each address. Its
// handler builds an Outgoing and calls HTTP1 or GRPC. These answer the client,
// or return a Failure, and then nothing has been answered: the caller may
// answer in its own words, or ask another Upstream where Failure.Stage is
// StageConnect. Once an answer has begun, HTTP1 and GRPC cut the client's
// stream themselves, by a panic with http.ErrAbortHandler, so what a caller
// must do in any case it does in a defer.
package httpengine

import (
	"errors"
	"fmt"
)

// Stage is how far a request came.
type Stage string

// The stages at which a request may fail before anything was answered.
const (
	StageConnect  Stage = "connect"  // no connection: nothing has been sent
	StageRequest  Stage = "request"  // the client's part: its body is faulty or late, or it has gone
	StageSession  Stage = "session"  // a connection, but the upstream has not said on it that it speaks HTTP/2
	StageResponse Stage = "response" // the upstream's part
)

// Failure is why a request was not answered.
type Failure struct {
	Stage Stage
	// Status is what nginx would answer: 400, 408, 413, 499, 502 or 504. 499
	// is a client that has gone: nobody hears an answer.
	Status int
	Err    error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s failed (%d): %v", f.Stage, f.Status, f.Err)
}

// Unwrap is what happened.
func (f *Failure) Unwrap() error { return f.Err }

// StatusGone is nginx's, for a client that has left.
const StatusGone = 499

// ErrBodyTooLarge is what an Outgoing's Body returns from Read when the client
// has sent more than it may. Before the answer has begun it is a Failure of
// 413, afterwards the stream is cut.
var ErrBodyTooLarge = errors.New("the request's body is larger than allowed")

package pebble

import (
	"net"

	"github.com/miekg/dns"
)

// resolver answers Pebble's questions: every name is at 127.0.0.1, except those
// below nowhere.invalid, which there are not.
type resolver struct {
	ln     net.Listener
	server *dns.Server
	done   chan struct{}
}

func newResolver() (*resolver, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks over TCP
	if err != nil {
		return nil, err
	}
	started := make(chan struct{})
	r := &resolver{ln: ln, done: make(chan struct{})}
	r.server = &dns.Server{Listener: ln, Handler: dns.HandlerFunc(answer), NotifyStartedFunc: func() { close(started) }}
	go func() {
		defer close(r.done)
		_ = r.server.ActivateAndServe() // it ends by Shutdown
	}()
	<-started
	return r, nil
}

func (r *resolver) address() string { return r.ln.Addr().String() }

func (r *resolver) close() error {
	err := r.server.Shutdown()
	<-r.done
	return err
}

func answer(w dns.ResponseWriter, question *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(question)
	for _, q := range question.Question {
		switch {
		case !loopback(q.Name):
			m.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
		}
	}
	_ = w.WriteMsg(m) // who has gone needs no answer
}

package scenarios

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"kasgen/internal/judge"
	"kasgen/runtime"
	"kasgen/runtime/certs/streamtest"
	"kasgen/runtime/state"
)

// TestNativeRenewalUnderLoad renews three times below 200 upgraded streams that
// carry data all the while, through the real HAProxy and nginx: where they pass
// TLS through, and where they end it and are reloaded each time. Beyond them
// stands who upgrades every request in place of kas.
func TestNativeRenewalUnderLoad(t *testing.T) { // not parallel: it is a load by itself
	judge.Find(t, "nginx")
	judge.Find(t, "haproxy")
	more := fmt.Sprintf("nginx: {streamModule: /usr/lib/nginx/modules/ngx_stream_module.so}\ntimeouts: {drain: %v}\n", drain)
	for name, tt := range map[string]struct {
		text string
		file string // that leads to kas
	}{
		"A":                   {"topology: A\n", "edge/edge.yaml"},
		"A, HAProxy ends TLS": {"topology: A\nloadBalancer: {tls: terminate}\n", "edge/edge.yaml"},
		"A, nginx ends TLS":   {"topology: A\nloadBalancer: {kind: nginx-stream, tls: terminate}\n", "edge/edge.yaml"},
		"D":                   {"topology: D\n", "nginx/nginx.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApart(t, tt.text+more)
			edit(t, a.dir, tt.file, a.spec.KAS.Listen.KubernetesAPI, streamtest.Echo(t))
			r := a.native()
			last := a.await(nil)
			const n = 200
			all := streamtest.Open(t, n, a.spec.LoadBalancer.Listen[0], "/k8s-proxy/exec",
				&tls.Config{ServerName: "kas.example.com", RootCAs: a.ca.Roots(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
			began := time.Now()
			for range 3 {
				if err := r.Renew(t.Context()); err != nil {
					t.Error(err)
				}
				last = a.await(last)
			}
			took := time.Since(began)
			// A limit of the front's for what lives on after a reload would be
			// the drain time.
			<-time.After(drain + time.Second)
			lines := all.Lines()
			lost := all.Close()
			t.Logf("3 renewals in %.1f s; %d of %d streams lost, which carried %d lines meanwhile", took.Seconds(), len(lost), n, lines)
			if len(lost) != 0 || a.ca.Orders() != 4 || lines < 2*n {
				t.Errorf("%d streams lost, %d orders, %d lines: %v", len(lost), a.ca.Orders(), lines, errors.Join(lost...))
			}
		})
	}
}

// whole is the bundle with the secrets that it may be given.
func (a *apart) whole() *runtime.Bundle {
	a.t.Helper()
	b, err := runtime.Read(a.dir, runtime.All, runtime.Memory)
	if err == nil {
		_, err = state.Ensure(b.Development(""))
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

// native runs every role in one process, with the real programs in front, until
// the test ends.
func (a *apart) native() *runtime.Running {
	a.t.Helper()
	b := a.whole()
	b.UseNative(a.t.TempDir())
	h := a.host()
	ctx, cancel := context.WithCancel(a.t.Context())
	r, err := b.Start(ctx, h, h, "test")
	if err != nil {
		cancel()
		a.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	a.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Error(err)
		}
	})
	return r
}

package scenarios

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/runtime"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/operation"
)

// TestRenewal obtains certificates through every front and obtains them anew
// three times, while a command runs through each agent.
func TestRenewal(t *testing.T) { // not parallel: it is a load by itself
	for name, text := range map[string]string{
		"A":                              "topology: A\ntls: {source: acme}\n",
		"A by http-01":                   "topology: A\ntls: {source: acme, acme: {challenge: http-01, keyType: rsa2048}}\n",
		"A, HAProxy ends TLS":            "topology: A\ntls: {source: acme}\nloadBalancer: {tls: terminate}\n",
		"A, nginx ends TLS":              "topology: A\ntls: {source: acme}\nloadBalancer: {kind: nginx-stream, tls: terminate}\n",
		"A, an account of the CA's":      "topology: A\ntls: {source: acme, acme: {email: ops@example.com, staging: true, externalAccount: {keyID: k, keyFile: /etc/eab}}}\n",
		"B":                              "topology: B\ntls: {source: acme}\n",
		"B by tls-alpn-01":               "topology: B\ntls: {source: acme, acme: {challenge: tls-alpn-01}}\n",
		"B by tls-alpn-01, nginx":        "topology: B\ntls: {source: acme}\nloadBalancer: {kind: nginx-stream}\nhttp: {listen: []}\n",
		"B, HAProxy ends TLS":            "topology: B\ntls: {source: acme}\nloadBalancer: {tls: terminate}\n",
		"D":                              "topology: D\ntls: {source: acme}\n",
		"packaged":                       "topology: packaged\ntls: {source: acme}\n",
		"native A":                       "topology: A\ntls: {source: acme}\n",
		"native A, HAProxy ends TLS":     "topology: A\ntls: {source: acme}\nloadBalancer: {tls: terminate}\n",
		"native B":                       "topology: B\ntls: {source: acme}\n",
		"native B by tls-alpn-01":        "topology: B\ntls: {source: acme, acme: {challenge: tls-alpn-01}}\n",
		"native B by tls-alpn-01, nginx": "topology: B\ntls: {source: acme}\nloadBalancer: {kind: nginx-stream}\nhttp: {listen: []}\n",
		"native D":                       "topology: D\ntls: {source: acme}\n",
		"native packaged":                "topology: packaged\ntls: {source: acme}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // with the others: a CA and its clients wait more than they work
			renewals(t, obtaining(t, text, strings.HasPrefix(name, "native ")))
		})
	}
}

// drain is how long streams live on at a stop.
const drain = time.Second

// obtaining runs a topology with ACME; native on ports and paths of its own.
func obtaining(t *testing.T, text string, native bool) *lab.Lab {
	t.Helper()
	overrides := []spec.Override{{Field: "timeouts.drain", Text: drain.String(), Source: "the test"}}
	bundle := bundleOf
	if native {
		bundle = nativeBundle
	}
	return startWith(t, lab.Options{Bundle: bundle(t, text, overrides...), Native: native, Registry: runtime.Memory})
}

// bundleOf renders a kasgen.yaml of which text is what matters.
func bundleOf(t *testing.T, text string, overrides ...spec.Override) string {
	t.Helper()
	return changedBundleOf(t, text, func(*spec.Spec) error { return nil }, overrides...)
}

func changedBundleOf(t *testing.T, text string, change func(*spec.Spec) error, overrides ...spec.Override) string {
	t.Helper()
	s, findings := spec.Read("kasgen.yaml", []byte("apiVersion: kasgen/v1\ngitlab: {url: 'https://example.com'}\nnames: {kas: kas.example.com}\n"+text), overrides)
	if s == nil {
		t.Fatal(findings)
	}
	if err := change(s); err != nil {
		t.Fatal(err)
	}
	b, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := b.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	return dir
}

// renewals has sessions that were there before live through each renewal, and
// new clients meet the new certificate, which is of one order.
func renewals(t *testing.T, l *lab.Lab) {
	t.Helper()
	target, _, err := demoOptions{}.target()
	if err != nil {
		t.Fatal(err)
	}
	var sessions []*operation.Session
	for _, a := range l.Agents {
		target.Config = l.RESTConfig(a, t.Name())
		s, err := operation.Open(t.Context(), target, operation.WebSocket)
		if err != nil {
			t.Fatal(a.Name, err)
		}
		sessions = append(sessions, s)
	}
	if len(sessions) != 2 {
		t.Fatalf("%d agents", len(sessions))
	}
	last := shown(t, l, nil)
	for n := range 3 {
		if err := l.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		last = shown(t, l, last)
		for i, s := range sessions {
			if err := s.Say(fmt.Sprint("after renewal ", n+1)); err != nil {
				t.Errorf("the %s agent's session: %v", l.Agents[i].Name, err)
			}
		}
		for _, a := range l.Agents {
			if err := oneBy(t, l, a, "get", operation.Plain); err != nil {
				t.Error(err)
			}
		}
	}
	// A limit of the front's for what lives on after a reload would be the
	// drain time.
	<-time.After(drain + 2*time.Second)
	for i, s := range sessions {
		if err := s.Say("after the drain time"); err != nil {
			t.Errorf("the %s agent's session: %v", l.Agents[i].Name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if l.Orders() != 4 {
		t.Errorf("%d orders for one certificate and three renewals", l.Orders())
	}
}

// shown waits until every name's front shows another certificate than before.
func shown(t *testing.T, l *lab.Lab, before map[string]*x509.Certificate) map[string]*x509.Certificate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		now, err := l.Shown(ctx)
		if err != nil {
			t.Fatal(err)
		}
		old := false
		for name, c := range now {
			old = old || c.Equal(before[name])
		}
		if !old {
			return now
		}
		select {
		case <-ctx.Done():
			t.Fatal("the front shows what it showed before")
		case <-time.After(50 * time.Millisecond): // between two looks
		}
	}
}

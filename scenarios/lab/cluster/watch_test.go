package cluster

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events opens a watch and returns what reads its next event as
// "TYPE name step", with "EOF" at its end.
func (l *lab) events(t *testing.T, query string) func() string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", l.RESTConfig().Host+"/api/v1/namespaces/default/"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.RESTConfig().BearerToken)
	resp, err := l.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	return func() string {
		t.Helper()
		if !lines.Scan() {
			return "EOF"
		}
		var event struct {
			Type   string
			Object struct {
				Kind     string
				Reason   string
				Metadata struct {
					Name        string
					Labels      map[string]string
					Annotations map[string]string
				}
				Rows []struct{ Cells []any }
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		o := event.Object
		name := o.Metadata.Name
		if len(o.Rows) > 0 {
			name = fmt.Sprint(o.Rows[0].Cells[0])
		}
		step := o.Reason
		if o.Metadata.Labels["step"] != "" {
			step = o.Metadata.Labels["step"]
		}
		if o.Metadata.Annotations["k8s.io/initial-events-end"] == "true" {
			step = "initial-events-end"
		}
		return strings.Join(strings.Fields(strings.Join([]string{event.Type, o.Kind, name, step}, " ")), " ")
	}
}

func configMap(name, step string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"step":%q}}}`, name, step)
}

func (l *lab) must(t *testing.T, code int, method, path, body string, headers ...string) []byte {
	t.Helper()
	got, answer := l.ask(t, method, "/api/v1/namespaces/default/"+path, body, headers...)
	if got != code {
		t.Fatalf("%s %s: code %d, want %d: %s", method, path, got, code, answer)
	}
	return answer
}

func TestWatch(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	l.must(t, 201, "POST", "configmaps", configMap("old", "one"))

	fromStart := l.events(t, "configmaps?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
	one := l.events(t, "configmaps?watch=true&labelSelector=step%3Done&resourceVersion=0")
	for _, want := range []string{"ADDED ConfigMap old one", "BOOKMARK ConfigMap initial-events-end"} {
		if got := fromStart(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if got := one(); got != "ADDED ConfigMap old one" {
		t.Fatalf("got %q", got)
	}

	l.must(t, 201, "POST", "configmaps", configMap("new", "two"))
	l.must(t, 200, "PUT", "configmaps/new", configMap("new", "one"))
	l.must(t, 200, "PATCH", "configmaps/old", `{"metadata":{"labels":{"step":"three"}}}`, "Content-Type", "", "Content-Type", "application/merge-patch+json")
	l.must(t, 200, "DELETE", "configmaps/new", "")

	var got []string
	for range 4 {
		got = append(got, fromStart())
	}
	want := []string{"ADDED ConfigMap new two", "MODIFIED ConfigMap new one", "MODIFIED ConfigMap old three", "DELETED ConfigMap new one"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("all (-want +got):\n%s", d)
	}
	got = nil
	for range 3 {
		got = append(got, one())
	}
	// What begins or ceases to match is added or deleted for who selects.
	want = []string{"ADDED ConfigMap new one", "DELETED ConfigMap old three", "DELETED ConfigMap new one"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("selected (-want +got):\n%s", d)
	}
}

func TestWatchPod(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	next := l.events(t, "pods?watch=true&fieldSelector=metadata.name%3Ddemo")
	if got := next(); got != "ADDED Pod demo" {
		t.Fatalf("got %q", got)
	}
	l.must(t, 200, "PATCH", "pods/demo", `{"metadata":{"labels":{"step":"labelled"}},"spec":{"nodeName":"other"}}`,
		"Content-Type", "", "Content-Type", "application/strategic-merge-patch+json")
	if got := next(); got != "MODIFIED Pod demo labelled" {
		t.Errorf("got %q", got)
	}
	if pod := string(l.must(t, 200, "GET", "pods/demo", "")); !strings.Contains(pod, `"nodeName":"kasgen-lab"`) {
		t.Errorf("the pod's spec was changed: %s", pod)
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	next := l.events(t, "pods?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=3")
	for _, want := range []string{"BOOKMARK Pod", "EOF"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWatchTooOld(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	for n := range remembered + 1 {
		l.must(t, 201, "POST", "configmaps", configMap(fmt.Sprintf("n%d", n), "one"))
	}
	next := l.events(t, "pods?watch=true&resourceVersion=1")
	for _, want := range []string{"ERROR Status Expired", "EOF"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	stale := string(l.must(t, 201, "POST", "configmaps", configMap("a", "one")))
	l.must(t, 409, "POST", "configmaps", configMap("a", "one"))
	l.must(t, 200, "PUT", "configmaps/a", stale)
	l.must(t, 409, "PUT", "configmaps/a", stale)
}

func TestLogOptions(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	// Three ticks, so that there is something to choose from.
	follow := l.must(t, 200, "GET", "pods/demo/log?follow=true&limitBytes=21", "")
	if string(follow) != "tick 1\ntick 2\ntick 3\n" {
		t.Errorf("followed to a limit: %q", follow)
	}
	if got := string(l.must(t, 200, "GET", "pods/demo/log?tailLines=1", "")); strings.Count(got, "\n") != 1 || strings.HasPrefix(got, "tick 1\n") {
		t.Errorf("the last line: %q", got)
	}
	if got := string(l.must(t, 200, "GET", "pods/demo/log?sinceTime=2100-01-01T00:00:00Z", "")); got != "" {
		t.Errorf("since the future: %q", got)
	}
	if got := string(l.must(t, 200, "GET", "pods/demo/log?timestamps=true&limitBytes=2", "")); got != "20" {
		t.Errorf("two bytes of a time: %q", got)
	}
}

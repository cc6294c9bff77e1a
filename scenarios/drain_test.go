package scenarios

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	corev1 "k8s.io/api/core/v1"

	"kasgen/scenarios/lab"
)

// TestDrain ends a whole bundle (front, edge, kas, agents) while a command
// runs: it prints on, and its end comes through.
func TestDrain(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	l, err := lab.Start(ctx, lab.Options{Bundle: rendered(t), Version: "test", Tell: func(string, string) {}, Limit: 20 * time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	config := l.RESTConfig(l.Agents[0], t.Name())
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/api", &corev1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	u := client.Get().Resource("pods").Namespace("default").Name("demo").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Stdout: true, Command: []string{"sh", "-c", "echo one; sleep 2; echo two; exit 0"}}, scheme.ParameterCodec).URL()
	exec, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, u.String())
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := exec.StreamWithContext(context.Background(), remotecommand.StreamOptions{Stdout: w})
		w.Close()
		ended <- err
	}()
	lines := bufio.NewReader(r)
	if line, err := lines.ReadString('\n'); err != nil || line != "one\n" {
		t.Fatalf("%q, %v", line, err)
	}
	stop() // as SIGTERM does
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	if line, err := lines.ReadString('\n'); err != nil || line != "two\n" {
		t.Errorf("while draining: %q, %v", line, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the command's end: %v", err)
	}
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("20 seconds after the last stream ended the bundle still runs")
		<-closed
	}
}

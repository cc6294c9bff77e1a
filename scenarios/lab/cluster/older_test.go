package cluster

import (
	"bytes"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// TestOlder: an API server from before 1.30 refuses the WebSocket that kubectl
// asks for in a way that has kubectl fall back, and still speaks SPDY.
func TestOlder(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{false, true} {
		c, err := Start(t.Context(), Options{Dir: t.TempDir(), Older: older})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		config := c.RESTConfig()
		config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/api", &corev1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
		client, err := rest.RESTClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		at := client.Get().Resource("pods").Namespace(Namespace).Name(Pod).SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{Stdout: true, Command: []string{"echo", "here"}}, scheme.ParameterCodec).URL()
		webSocket, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, at.String())
		if err != nil {
			t.Fatal(err)
		}
		spdy, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, at)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := webSocket.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out}); httpstream.IsUpgradeFailure(err) != older || (err == nil) == older {
			t.Errorf("older %t, by WebSocket: %q, %v", older, out.String(), err)
		}
		out.Reset()
		if err := spdy.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out}); err != nil || out.String() != "here\n" {
			t.Errorf("older %t, by SPDY: %q, %v", older, out.String(), err)
		}
	}
}

package runtime

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// nginxTLS is an nginx.conf for a real nginx that ends TLS at bind with the
// certificate kas.crt in dir.
func nginxTLS(dir, bind string) string {
	return fmt.Sprintf(`worker_processes 1;
pid %[1]s/nginx.pid;
events {}
http {
    access_log off;
    server {
        listen %[2]s ssl;
        server_name kas.example.com;
        ssl_certificate %[1]s/kas.crt;
        ssl_certificate_key %[1]s/kas.key;
        return 204;
    }
}
`, dir, bind)
}

// get is the status and the body of an answer, on a connection of its own.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

package lab

import "testing"

func TestRedirectFile(t *testing.T) {
	t.Parallel()
	r := NewRedirect(func(string, string) {})
	r.Path("/var/lib/kasgen", "/lab/state")
	r.Path("/var/lib/kasgen/tls/kas.crt", "/lab/files/kas.crt")
	for path, want := range map[string]string{
		"/var/lib/kasgen/tls/kas.crt": "/lab/files/kas.crt",
		"/var/lib/kasgen/tls/kas.key": "/lab/state/tls/kas.key",
		"/var/lib/kasgenx":            "/var/lib/kasgenx",
	} {
		if got := r.File(path); got != want {
			t.Errorf("%s lies at %s, want %s", path, got, want)
		}
	}
}

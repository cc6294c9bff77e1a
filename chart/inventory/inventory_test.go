package inventory

import (
	"slices"
	"testing"
)

// TestOf has every known version's keys, each once.
func TestOf(t *testing.T) {
	t.Parallel()
	for _, v := range Known() {
		k, err := Of(v)
		if err != nil {
			t.Fatal(err)
		}
		paths := k.Paths()
		slices.Sort(paths)
		if n := len(slices.Compact(slices.Clone(paths))); n != len(paths) || n < 50 {
			t.Errorf("%s: %d keys, %d of them different", v, len(paths), n)
		}
	}
	if _, err := Of(Version{9, 2}); err == nil {
		t.Error("a version that is not known has keys")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version, path string
		found         bool
	}{
		{"9.1", "gitlab.kas.ingress.annotations.nginx.ingress.kubernetes.io/proxy-body-size", true},
		{"9.1", "gitlab.kas.ingress.annotation", false},
		{"9.1", "gitlab.kas.ingress.grpc.enabled", false},
		{"9.9.1", "gitlab.kas.ingress.grpc.enabled", true},
		{"9.9", "global.kas.ingress.grpc.enabled", false},
		{"v10.4.0", "global.kas.ingress.grpc.enabled", true},
		{"10.4", "global.gatewayApi.listeners.kas-web", false},
		{"9.9", "global.gatewayApi.listeners.kas-web", true},
		{"9.9", "gitlab.kas.service.externalTrafficPolicy", false},
	} {
		v, err := ParseVersion(tt.version)
		if err != nil {
			t.Fatal(err)
		}
		k, err := Of(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := k.Find(tt.path); ok != tt.found {
			t.Errorf("%s in %s: %t", tt.path, tt.version, ok)
		}
	}
	for _, bad := range []string{"", "9", "nine", "9.x"} {
		if _, err := ParseVersion(bad); err == nil {
			t.Errorf("%q is a version", bad)
		}
	}
}

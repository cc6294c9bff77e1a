package omnibus

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is GitLab's, as far as keys of gitlab.rb depend on it.
type Version struct{ Major, Minor int }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// before says whether v is older than w.
func (v Version) before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// oldest is the first whose kas can have a name of its own.
func oldest() Version { return Version{15, 10} }

// form finds the first two numbers of what GitLab calls its version: 18.5,
// 18.5.1-ee.0, v19.3.0+ce.0.
var form = regexp.MustCompile(`^v?(\d{1,3})\.(\d{1,3})(?:[.+-][0-9A-Za-z.+-]*)?$`)

// ParseVersion reads a version of GitLab or of its package.
func ParseVersion(text string) (Version, error) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q is no version of GitLab: write it like 18.5", text)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Version{}, err
	}
	minor, err := strconv.Atoi(m[2])
	return Version{major, minor}, err
}

// Package is what a package of GitLab can be told.
type Package struct {
	Version Version
	// HTTP2Directive: its nginx knows `http2 on`; before, that is a word of
	// listen.
	HTTP2Directive bool
	// GRPC: the vhost of kas's name passes gRPC.
	GRPC bool
	// Limits: the vhost's time limits for the Kubernetes API are keys.
	Limits bool
	// Nested: each service's vhost is configured below the service, as in
	// gitlab_kas['nginx']; before, there is gitlab_kas_nginx.
	Nested bool
	// Native: kas's own URL may be grpcs://.
	Native bool
}

// Of is what the package of a version can be told.
func Of(v Version) Package {
	since := func(major, minor int) bool { return !v.before(Version{major, minor}) }
	return Package{
		Version:        v,
		HTTP2Directive: since(18, 0),
		GRPC:           since(18, 7),
		Limits:         since(18, 11),
		Nested:         since(19, 2),
		Native:         since(19, 5),
	}
}

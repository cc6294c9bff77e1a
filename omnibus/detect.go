package omnibus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Where a package keeps what tells it apart.
const (
	versionFile  = "opt/gitlab/embedded/service/gitlab-rails/VERSION"
	manifestFile = "opt/gitlab/version-manifest.txt" // its first line: gitlab-ee 18.5.1-ee.0
	cookbooks    = "opt/gitlab/embedded/cookbooks"
)

// Detect is what the package below root can be told. Where the cookbook that
// is installed has something or lacks it, that counts, and not its version.
func Detect(root string) (Package, error) {
	v, err := installed(root)
	if err != nil {
		return Package{}, err
	}
	pkg := Of(v)
	vhost, err := first(root, "gitlab/templates/default/nginx-gitlab-kas.conf.erb", "gitlab-kas/templates/default/nginx-gitlab-kas.conf.erb", "gitlab/templates/default/nginx-gitlab-kas-http.conf.erb")
	if err != nil {
		return Package{}, err
	}
	attributes, err := first(root, "gitlab-kas/attributes/default.rb")
	if err != nil {
		return Package{}, err
	}
	library, err := first(root, "gitlab-kas/libraries/gitlab_kas.rb")
	if err != nil {
		return Package{}, err
	}
	if vhost != "" {
		pkg.GRPC = strings.Contains(vhost, "grpc_pass")
		pkg.HTTP2Directive = strings.Contains(vhost, "http2 on;")
		pkg.Limits = strings.Contains(vhost, "k8s_proxy_read_timeout")
	}
	if attributes != "" {
		pkg.Nested = strings.Contains(attributes, "['gitlab_kas']['nginx']")
	}
	if library != "" {
		// What it says of another scheme than these two: nothing, once it takes
		// grpcs.
		pkg.Native = !strings.Contains(library, "must be 'ws' or 'wss'") && strings.Contains(library, "grpcs")
		if !strings.Contains(library, "external_url") {
			pkg.Native = Of(v).Native // not the library that was known
		}
	}
	return pkg, nil
}

// installed is the version of the package below root.
func installed(root string) (Version, error) {
	data, err := os.ReadFile(filepath.Join(root, versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = os.ReadFile(filepath.Join(root, manifestFile)); err != nil {
			return Version{}, err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		_, version, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			return Version{}, fmt.Errorf("the first line of %s names no version: %q", manifestFile, line)
		}
		return ParseVersion(strings.TrimSpace(version))
	}
	if err != nil {
		return Version{}, err
	}
	return ParseVersion(strings.TrimSpace(string(data)))
}

// first is the text of the first file of the cookbooks that there is, or
// nothing.
func first(root string, names ...string) (string, error) {
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(root, cookbooks, name))
		if err == nil {
			return string(data), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

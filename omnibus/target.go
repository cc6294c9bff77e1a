package omnibus

import (
	"slices"

	"github.com/spf13/pflag"

	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	nginxtarget "kasgen/generator/target/nginx"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Name is how the target is asked for.
const Name = "omnibus"

// Directory is where the bundle lies on a host.
const Directory = "/etc/gitlab/kasgen"

// example stands in for a missing kasgen.yaml.
const example = `apiVersion: kasgen/v1
topology: A
gitlab:
  url: https://gitlab.example.com
names:
  kas: kas.gitlab.example.com
`

// Target is Omnibus as `kasgen render` knows it.
func Target() generator.Target {
	return generator.Target{Name: Name, Example: example, Defaults: Defaults, Renderer: func(flags *pflag.FlagSet) generator.Renderer {
		version := flags.String("gitlab-version", "", "version of the package of GitLab, as in 18.5 (default: of the one that is installed here)")
		return func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
			pkg, err := choose(*version)
			if err != nil {
				return nil, nil, err
			}
			return Render(f, pkg)
		}
	}}
}

// choose is what the package of a version can be told, or of the one that is
// installed on this machine.
func choose(version string) (Package, error) {
	if version == "" {
		pkg, err := Detect("/")
		if err != nil {
			return Package{}, cli.Usage("no package of GitLab was found here (%v): name its version with --gitlab-version", err)
		}
		return pkg, nil
	}
	v, err := ParseVersion(version)
	if err != nil {
		return Package{}, cli.Usage("--gitlab-version: %v", err)
	}
	return Of(v), nil
}

// Defaults is what a kasgen.yaml leaves out on a machine with Omnibus: kas is
// Omnibus's, knows no prefix, and GitLab's nginx has the ports.
func Defaults(s *spec.Spec, written func(field string) bool) {
	if !written("kas.kind") {
		s.KAS.Kind = spec.KASExternal
	}
	if !written("kas.stripPrefix") {
		s.KAS.StripPrefix = true // Omnibus has no key for kas's prefix, and writes none
	}
	share := &s.LoadBalancer.ShareWithGitLab
	if !written("loadBalancer.shareWithGitLab.enabled") && !written("loadBalancer.listen") {
		// Only what comes to the balancer's port can be passed on, and only TLS can
		// be told apart: any other GitLab keeps a port that the balancer leaves free.
		share.Enabled = s.PassesBytes() && unshared(gitlabURL(s), []string{usualListen}) == ""
	}
	if share.Enabled && !written("loadBalancer.shareWithGitLab.proxyProtocol") && s.LoadBalancer.Kind != spec.NginxStream {
		share.ProxyProtocol = spec.ProxyV2 // or GitLab would see this machine as every client
	}
}

// Render writes the files of a topology for a package. It writes no file for
// kas, whose file is Omnibus's, and none for a whole nginx.
func Render(f generator.Facts, pkg Package) ([]bundle.File, diag.Findings, error) {
	findings := refusals(f, pkg)
	if findings.Failed() {
		return nil, findings, nil
	}
	include, err := vhosts(f, pkg)
	if err != nil {
		return nil, nil, err
	}
	rb, err := ruby(f.Topology, keys(f, pkg, include != nil))
	if err != nil {
		return nil, nil, err
	}
	files := slices.DeleteFunc(slices.Clone(f.Files), func(file bundle.File) bool { return file.Path == nginxtarget.HTTPPath })
	files = append(files, bundle.File{Path: RubyPath, Data: rb})
	if include != nil {
		files = append(files, bundle.File{Path: vhostsPath, Data: include})
	}
	return files, findings, nil
}

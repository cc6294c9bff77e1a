// Package omnibus owns what kasgen knows of GitLab's Omnibus packages. It has
// no target yet: topology A stands beside a package, in front of its kas, with
// kas.kind gitlab and loadBalancer.shareWithGitLab where the package's nginx
// has the port. It must not know Helm.
package omnibus

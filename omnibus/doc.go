// Package omnibus owns what kasgen knows of GitLab's Omnibus packages: the keys
// of gitlab.rb that each version takes, the vhosts for its nginx, and the way
// into `gitlab-ctl reconfigure` and out again. It must not know Helm. Its law:
// what Omnibus would refuse is refused here first, nobody's own settings are
// lost, and no `gitlab-ctl` command ever fails or waits because of kasgen but
// for a result that is proven to be invalid.
package omnibus

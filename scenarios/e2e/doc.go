// Package e2e holds topologies to a real Kubernetes: its API server, its RBAC,
// its kubectl in three versions. It has nothing but tests, with the build tag
// e2e, since what they run is built from source the first time. Its law: a
// cell is what the API server was seen to do; the suite prints its counts, and
// what was not tried is named with the reason.
package e2e

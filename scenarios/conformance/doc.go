// Package conformance holds the embedded nginx and HAProxy to the real ones.
// Behaviours are data: each file in behaviours/ has the configuration, what a
// client does and what comes out, and README.md says how to read one. The
// package has nothing but tests. Its law: a file is given to every front as it
// is, what comes out is what the real program was recorded to do, and where the
// embedded one differs on purpose the reason stands beside it and is counted
// apart.
package conformance

// Package suite holds topologies to suites that others wrote: grpc-go's interop
// cases and h2spec. It has nothing but tests. Its law: a suite runs whole, its
// counts are printed, and a case that is left out stands in a list that says
// why.
package suite

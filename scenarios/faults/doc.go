// Package faults takes bundles as kasgen writes them, changes one line of one
// file, runs them, and holds `kasgen probe` to naming that line. It has nothing
// but tests. Its law: the probe comes as a user calls it, a bundle without a
// fault passes whole, and each fault is tried on the embedded programs and on
// the real ones.
package faults

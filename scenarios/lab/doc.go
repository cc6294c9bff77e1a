// Package lab runs a bundle on loopback with everything around it: a stand-in
// GitLab, agents, and a cluster. It uses generator and runtime as a user does
// and is used by neither. Its law: it says what is a stand-in, listens on
// loopback only, dials nothing outside the machine, and leaves nothing behind.
package lab

// Package omnibus holds `kasgen run` and `kasgen demo` to what GitLab's Omnibus
// package writes together with kasgen's own files. It has nothing but tests. No
// package was at hand: the machines are omnibustest's, a model. Under the race
// detector they take some minutes.
package omnibus

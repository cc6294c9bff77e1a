// Package chart owns what kasgen knows of GitLab's Helm chart: its keys by
// version, the values that make it a topology, and the image of the edge. It
// must not know Omnibus. Its law: a key that the chart would take in silence and
// do nothing about is never written.
package chart

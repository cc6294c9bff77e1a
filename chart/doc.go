// Package chart owns what kasgen knows of GitLab's Helm chart. It has no
// target yet: topology A stands before a chart's kas with kas.kind gitlab and
// an external balancer. It must not know Omnibus.
package chart

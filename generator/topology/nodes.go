package topology

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"kasgen/generator/spec"
)

// agentServers are kas's agent listeners, on the nodes or on this machine.
func agentServers(s *spec.Spec, nodes []string) []Server {
	if len(nodes) == 0 {
		nodes = []string{dialable(s.KAS.Listen.Agent)}
	}
	return servers(agentUpstream, nodes)
}

// kubernetesServers are the Kubernetes API listeners on the same hosts.
func kubernetesServers(s *spec.Spec, nodes []string) []Server {
	if len(nodes) == 0 {
		return servers(kubernetesUpstream, []string{dialable(s.KAS.Listen.KubernetesAPI)})
	}
	_, port, err := net.SplitHostPort(s.KAS.Listen.KubernetesAPI)
	var list []string
	for _, node := range nodes {
		if host, _, nodeErr := net.SplitHostPort(node); err == nil && nodeErr == nil { // the spec was checked
			list = append(list, net.JoinHostPort(host, port))
		}
	}
	return servers(kubernetesUpstream, list)
}

// servers are numbered in an order that does not depend on the spec's.
func servers(name string, nodes []string) []Server {
	sorted := slices.Sorted(slices.Values(nodes))
	var list []Server
	for i, node := range sorted {
		list = append(list, Server{Name: fmt.Sprintf("%s-%d", name, i+1), Address: node})
	}
	return list
}

// listening are a balancer's own addresses. HAProxy takes no host for every
// address of IPv4 and nginx wants one, so that it is written out.
func listening(addresses []string) []string {
	var list []string
	for _, address := range addresses {
		if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
			address = net.JoinHostPort("0.0.0.0", port)
		}
		list = append(list, address)
	}
	return list
}

// dialable is the address under which this machine reaches its own listener.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // the spec was checked
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && addr.IsUnspecified() && addr.Is4():
		return net.JoinHostPort("127.0.0.1", port)
	case err == nil && addr.IsUnspecified():
		return net.JoinHostPort("::1", port)
	default:
		return address
	}
}

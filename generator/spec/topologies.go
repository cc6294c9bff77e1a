package spec

// Topology is how kas is reached.
type Topology string

// The topologies that can be rendered.
const (
	TopologyA        Topology = "A"
	TopologyB        Topology = "B"
	TopologyD        Topology = "D"
	TopologyPackaged Topology = "packaged"
)

// topologies lists every topology.
func topologies() []Topology {
	return []Topology{TopologyPackaged, TopologyA, TopologyB, TopologyD}
}

// shape is what a spec may say for a topology. It is all that this package
// knows of one: the rules ask for the shape, never for the letter.
type shape struct {
	balancers []BalancerKind // that can take names.kas; the first is the default
	grpc      []BalancerKind // that can take names.grpc, the first being the default; none: there is no such name
	vhosts    bool           // nginx's http{} takes the names, and there is no edge
}

// PassesBytes says whether a TCP balancer of ours takes names.kas, also before
// the balancer's kind has been filled in.
func (s *Spec) PassesBytes() bool {
	kind := s.LoadBalancer.Kind
	if kind == "" {
		kind = s.Topology.shape().balancers[0]
	}
	return !kind.HTTP() && !kind.External()
}

// shape of a topology that is not there permits everything, so that nothing
// follows from a letter that was not meant.
func (t Topology) shape() shape {
	tcp := []BalancerKind{HAProxy, NginxStream, ExternalTCP}
	switch t {
	case TopologyA:
		return shape{balancers: tcp}
	case TopologyB:
		return shape{balancers: tcp, grpc: []BalancerKind{HAProxy, NginxHTTP, ExternalHTTP2}}
	case TopologyD:
		return shape{balancers: []BalancerKind{NginxHTTP, ExternalHTTP}, grpc: []BalancerKind{NginxHTTP, HAProxy, ExternalHTTP2}, vhosts: true}
	case TopologyPackaged:
		return shape{balancers: []BalancerKind{NginxHTTP, ExternalHTTP, ExternalHTTP2}, vhosts: true}
	default:
		return shape{balancers: balancerKinds(), grpc: balancerKinds()}
	}
}

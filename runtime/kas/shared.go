package kas

import (
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kasgen/runtime/host"
	"kasgen/runtime/kas/agents"
	"kasgen/runtime/kas/tunnels"
	"kasgen/runtime/sniff"
)

// Shared is what one kas leaves to the next when its file changes: the agents'
// tunnels and registrations. A request then finds an agent whichever of the two
// it is connected to, and one that waits for a tunnel gets it from the other.
type Shared struct {
	tunnels   *tunnels.Registry
	connected *agents.Connected
	intake    intake
}

// NewShared knows no agent. Its metrics are h's.
func NewShared(h *host.Host) *Shared {
	s := &Shared{tunnels: tunnels.New(), connected: agents.NewConnected()}
	h.Metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "agents_registered_pods", Help: "Agent pods that have registered lately."},
			func() float64 { return float64(len(s.connected.Pods(time.Now()))) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "reverse_tunnels_idle", Help: "Reverse tunnels that wait for a request."},
			func() float64 { return float64(s.tunnels.AllIdle()) }),
	)
	return s
}

// intake is where agents' connections go: to the youngest kas, whichever took
// them.
type intake struct {
	mu sync.RWMutex
	to *sniff.Queue
}

// put waits until the connection is taken.
func (i *intake) put(c net.Conn) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.to == nil {
		c.Close()
		return
	}
	i.to.Put(c)
}

// point returns when nobody puts a connection anywhere else any more.
func (i *intake) point(to *sniff.Queue) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.to = to
}

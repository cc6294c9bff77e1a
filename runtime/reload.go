package runtime

import (
	"context"
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"kasgen/runtime/host"
)

// Change is what a reload did, by the names of roles.
type Change struct {
	Generation int
	Made       []string // new, or made anew
	Kept       []string // as they were
	Retired    []string // replaced or gone; their streams live on
}

// errStopped is the answer to a reload that comes too late.
var errStopped = errors.New("the bundle does not run")

// Reload lets b take the place of what runs, without a moment in which nobody
// listens. Roles of which neither file nor secrets have changed go on as they
// are. After an error everything goes on as it is. h and front are as for
// Start.
func (r *Running) Reload(ctx context.Context, b *Bundle, h, front *host.Host) (Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run == nil {
		return Change{}, errStopped
	}
	n, err := r.make(ctx, b, h, front)
	if err != nil {
		return Change{}, err
	}
	r.commit(n)
	c := Change{Generation: r.generation, Made: names(n.made), Retired: names(n.gone)}
	for _, role := range n.roles {
		if !slices.Contains(n.made, role) {
			c.Kept = append(c.Kept, role.name)
		}
	}
	return c, nil
}

// Reloaded counts the attempt to reload that ended with err, wherever it did.
func (r *Running) Reloaded(err error) { r.metrics.reloaded(err) }

func names(roles []*role) []string {
	var n []string
	for _, r := range roles {
		n = append(n, r.name)
	}
	return n
}

// metrics are of the process, whatever generation runs.
type metrics struct {
	reloads     *prometheus.CounterVec
	successful  prometheus.Gauge
	lastSuccess prometheus.Gauge
	generation  prometheus.Gauge
	retiring    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		reloads: host.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kasgen_reload_total", Help: "Attempts to read the bundle again, by result: success or failure."}, []string{"result"})),
		successful: host.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kasgen_reload_last_successful", Help: "Whether the last attempt to read the bundle succeeded; the start counts."})),
		lastSuccess: host.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kasgen_reload_last_success_timestamp_seconds", Help: "When the bundle was last read with success; the start counts."})),
		generation: host.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kasgen_generation", Help: "How often the bundle was read with success, the start included."})),
		retiring: host.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kasgen_roles_retiring", Help: "Roles of older generations whose streams have not ended yet."})),
	}
	for _, result := range []string{"success", "failure"} {
		m.reloads.WithLabelValues(result) // a counter that is there from the start can be watched
	}
	m.succeeded()
	return m
}

func (m metrics) reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		m.successful.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.succeeded()
}

func (m metrics) succeeded() {
	m.successful.Set(1)
	m.lastSuccess.SetToCurrentTime()
}

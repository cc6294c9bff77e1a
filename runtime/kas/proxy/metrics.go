package proxy

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"kasgen/runtime/host"
)

type metrics struct {
	requests *prometheus.CounterVec
	upgraded prometheus.Gauge
	missing  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	return metrics{
		requests: host.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_api_proxy_requests_total", Help: "Requests answered by the Kubernetes API proxy, by status code."}, []string{"code"})),
		upgraded: host.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_api_proxy_upgraded_streams", Help: "Upgraded streams that are open."})),
		missing: host.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "k8s_api_proxy_routing_timeout_total", Help: "Requests for which no tunnel of the agent was found in time."})),
	}
}

func (m metrics) answered(code int) { m.requests.WithLabelValues(strconv.Itoa(code)).Inc() }

package certs

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kasgen/internal/diag"
)

// metrics are read from the source when they are asked for, so that they cannot
// tell of a certificate that is not there any more.
type metrics struct {
	status                                    func() []Status
	now                                       func() time.Time
	expiry, renewed, renewal, failures, ready *prometheus.Desc
	finding                                   *prometheus.Desc
}

// Expose registers Metrics, in place of those of an older generation of the same
// role: only who serves now can tell.
func Expose(r *prometheus.Registry, status func() []Status) {
	m := Metrics(status, time.Now)
	err := r.Register(m)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		r.Unregister(there.ExistingCollector)
		err = r.Register(m)
	}
	if err != nil {
		panic(err) // two metrics of one name, a fault of this program
	}
}

// Metrics is a collector of what status tells, one series for each name.
func Metrics(status func() []Status, now func() time.Time) prometheus.Collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kasgen_certificate_"+name, help, labels, nil)
	}
	return &metrics{status: status, now: now,
		expiry:   d("expiry_timestamp_seconds", "When the certificate for a name expires; 0 while there is none.", "name", "source"),
		renewed:  d("renewed_timestamp_seconds", "When the certificate for a name came; of one that was there before this process, since when it is valid; 0 while there is none.", "name", "source"),
		renewal:  d("renewal_timestamp_seconds", "When the next certificate for a name is to be obtained; 0 if its source is not told.", "name", "source"),
		failures: d("failures_total", "Attempts to obtain or read a certificate for a name that failed.", "name", "source"),
		ready:    d("ready", "Whether a certificate for a name is there, is for that name (else KAS3306), and has not expired.", "name", "source"),
		finding:  d("finding", "1 for what is found about the certificate for a name, by its code and severity.", "name", "source", "code", "severity"),
	}
}

func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.expiry, m.renewed, m.renewal, m.failures, m.ready, m.finding} {
		ch <- d
	}
}

func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	now := m.now()
	seen := map[[2]string]bool{} // one name may be in two certificates, one series may not
	collect := func(s Status, names []string, found diag.Findings) {
		ready := 0.0
		if s.Ready(now) {
			ready = 1
		}
		for _, name := range names {
			if seen[[2]string{name, s.Source}] {
				continue
			}
			seen[[2]string{name, s.Source}] = true
			gauge := func(d *prometheus.Desc, v float64) {
				ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name, s.Source)
			}
			gauge(m.expiry, seconds(s.NotAfter))
			gauge(m.renewed, seconds(s.Renewed))
			gauge(m.renewal, seconds(s.Renewal))
			gauge(m.ready, ready)
			ch <- prometheus.MustNewConstMetric(m.failures, prometheus.CounterValue, float64(s.Failures), name, s.Source)
			for _, f := range found {
				ch <- prometheus.MustNewConstMetric(m.finding, prometheus.GaugeValue, 1, name, s.Source, f.Code, string(f.Severity))
			}
		}
	}
	all := m.status()
	for _, s := range all {
		collect(s, s.Names, Findings([]Status{s}, now))
	}
	for _, s := range all {
		// For a name that it is not for there is none, unless another was.
		none := Status{Source: s.Source, Failures: s.Failures}
		collect(none, s.Foreign, Findings([]Status{s}, now))
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

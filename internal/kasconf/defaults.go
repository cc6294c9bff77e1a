package kasconf

import (
	"encoding/json"
	"strings"
	"time"
)

// WithDefaults is a copy of f in which every unset field that kas has a
// default for holds that default (pkg/kascfg in GitLab's agent repository).
// agent.kubernetes_api stays unset where it is: its absence means no proxy.
func (f *File) WithDefaults() *File {
	d := f.clone()
	d.Gitlab = filled(d.Gitlab)
	d.Gitlab.APIRateLimit = rateOr(d.Gitlab.APIRateLimit, 50, 250)
	d.Agent = filled(d.Agent)
	d.Agent.defaults()
	d.Observability = filled(d.Observability)
	d.Observability.defaults()
	d.Gitaly = filled(d.Gitaly)
	d.Gitaly.GlobalAPIRateLimit = rateOr(d.Gitaly.GlobalAPIRateLimit, 30, 70)
	d.Gitaly.PerServerAPIRateLimit = rateOr(d.Gitaly.PerServerAPIRateLimit, 15, 40)
	if r := d.Redis; r != nil {
		r.DialTimeout = durationOr(r.DialTimeout, 5*time.Second)
		r.WriteTimeout = durationOr(r.WriteTimeout, 3*time.Second)
		r.KeyPrefix = or(r.KeyPrefix, "gitlab-kas")
		r.Network = or(r.Network, "tcp")
	}
	d.API = filled(d.API)
	d.API.Listen = filled(d.API.Listen)
	d.API.Listen.defaults("127.0.0.1:8153")
	d.PrivateAPI = filled(d.PrivateAPI)
	d.PrivateAPI.Listen = filled(d.PrivateAPI.Listen)
	d.PrivateAPI.Listen.defaults("127.0.0.1:8155")
	return d
}

func (a *Agent) defaults() {
	a.Listen = filled(a.Listen)
	l := a.Listen
	l.Network = or(l.Network, "tcp")
	l.Address = or(l.Address, "127.0.0.1:8150")
	l.ConnectionsPerTokenPerMinute = or(l.ConnectionsPerTokenPerMinute, 40000)
	l.MaxConnectionAge = durationOr(l.MaxConnectionAge, 2*time.Hour)
	l.ListenGracePeriod = durationOr(l.ListenGracePeriod, 5*time.Second)
	a.Configuration = filled(a.Configuration)
	a.Configuration.PollPeriod = durationOr(a.Configuration.PollPeriod, 5*time.Minute)
	a.Configuration.MaxConfigurationFileSize = or(a.Configuration.MaxConfigurationFileSize, 128<<10)
	a.InfoCacheTTL = durationOr(a.InfoCacheTTL, 5*time.Minute)
	a.InfoCacheErrorTTL = durationOr(a.InfoCacheErrorTTL, time.Minute)
	a.RedisConnInfoTTL = durationOr(a.RedisConnInfoTTL, 5*time.Minute)
	a.RedisConnInfoRefresh = durationOr(a.RedisConnInfoRefresh, 4*time.Minute)
	a.RedisConnInfoGC = durationOr(a.RedisConnInfoGC, 10*time.Minute)
	k := a.KubernetesAPI
	if k == nil {
		return
	}
	if !strings.HasSuffix(k.URLPathPrefix, "/") {
		k.URLPathPrefix += "/"
	}
	k.AllowedAgentCacheTTL = durationOr(k.AllowedAgentCacheTTL, time.Minute)
	k.AllowedAgentCacheErrorTTL = durationOr(k.AllowedAgentCacheErrorTTL, 10*time.Second)
	k.Listen = filled(k.Listen)
	k.Listen.Network = or(k.Listen.Network, "tcp")
	k.Listen.Address = or(k.Listen.Address, "0.0.0.0:8154")
	k.Listen.ListenGracePeriod = durationOr(k.Listen.ListenGracePeriod, 5*time.Second)
	k.Listen.ShutdownGracePeriod = durationOr(k.Listen.ShutdownGracePeriod, time.Hour)
}

func (o *Observability) defaults() {
	o.UsageReportingPeriod = durationOr(o.UsageReportingPeriod, time.Minute)
	o.Listen = filled(o.Listen)
	o.Listen.Network = or(o.Listen.Network, "tcp")
	o.Listen.Address = or(o.Listen.Address, "127.0.0.1:8151")
	o.Prometheus = filled(o.Prometheus)
	o.Prometheus.URLPath = or(o.Prometheus.URLPath, "/metrics")
	o.LivenessProbe = filled(o.LivenessProbe)
	o.LivenessProbe.URLPath = or(o.LivenessProbe.URLPath, "/liveness")
	o.ReadinessProbe = filled(o.ReadinessProbe)
	o.ReadinessProbe.URLPath = or(o.ReadinessProbe.URLPath, "/readiness")
	o.Logging = filled(o.Logging)
	o.Logging.Level = or(o.Logging.Level, "info")
	if o.Logging.GRPCLevel == nil {
		level := LogLevel("error")
		o.Logging.GRPCLevel = &level
	}
}

func (l *APIListen) defaults(address string) {
	l.Network = or(l.Network, "tcp")
	l.Address = or(l.Address, address)
	l.MaxConnectionAge = durationOr(l.MaxConnectionAge, 2*time.Hour)
	l.ListenGracePeriod = durationOr(l.ListenGracePeriod, 5*time.Second)
}

// clone is a deep copy. The type is plain data, so JSON carries all of it.
func (f *File) clone() *File {
	var c File
	text, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		panic("kasconf: the type cannot be copied: " + err.Error())
	}
	return &c
}

func filled[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func durationOr(d *Duration, def time.Duration) *Duration {
	v := Duration(d.Or(def))
	return &v
}

func rateOr(r *RateLimit, perSecond float64, bucket uint32) *RateLimit {
	r = filled(r)
	return &RateLimit{RefillRatePerSecond: or(r.RefillRatePerSecond, perSecond), BucketSize: or(r.BucketSize, bucket)}
}

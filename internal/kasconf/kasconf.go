// Package kasconf owns kas-config.yaml, GitLab's configuration file of kas:
// the types, the strict reader, the writer and the knowledge of which version
// of kas has which key. It knows nothing of what renders the file or of what
// it configures. Its law: GitLab's kas of the stated version accepts what it
// writes, and it accepts what GitLab's kas accepts; null is unset.
//
// Field names, rules and defaults follow gitlab.agent.kascfg
// (pkg/kascfg/kascfg.proto in GitLab's agent repository).
package kasconf

// File is a whole kas-config.yaml. Pointers and zero values are unset.
type File struct {
	Gitlab        *Gitlab        `json:"gitlab,omitempty"`
	Agent         *Agent         `json:"agent,omitempty"`
	Observability *Observability `json:"observability,omitempty"`
	Gitaly        *Gitaly        `json:"gitaly,omitempty"`
	Redis         *Redis         `json:"redis,omitempty"`
	API           *API           `json:"api,omitempty"`
	PrivateAPI    *PrivateAPI    `json:"private_api,omitempty"`
	Config        *Config        `json:"config,omitempty"`
	Workspaces    *Workspaces    `json:"workspaces,omitempty"`
	Autoflow      *Autoflow      `json:"autoflow,omitempty"`
}

// Gitlab is how kas reaches GitLab.
type Gitlab struct {
	Address                  string     `json:"address"`
	AuthenticationSecretFile string     `json:"authentication_secret_file"`
	CACertificateFile        string     `json:"ca_certificate_file,omitempty"`
	APIRateLimit             *RateLimit `json:"api_rate_limit,omitempty"`
	ExternalURL              *string    `json:"external_url,omitempty"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	RefillRatePerSecond float64 `json:"refill_rate_per_second,omitempty"`
	BucketSize          uint32  `json:"bucket_size,omitempty"`
}

// Agent is everything that faces agents and their users.
type Agent struct {
	Listen               *AgentListen        `json:"listen,omitempty"`
	Configuration        *AgentConfiguration `json:"configuration,omitempty"`
	InfoCacheTTL         *Duration           `json:"info_cache_ttl,omitempty"`
	InfoCacheErrorTTL    *Duration           `json:"info_cache_error_ttl,omitempty"`
	RedisConnInfoTTL     *Duration           `json:"redis_conn_info_ttl,omitempty"`
	RedisConnInfoRefresh *Duration           `json:"redis_conn_info_refresh,omitempty"`
	RedisConnInfoGC      *Duration           `json:"redis_conn_info_gc,omitempty"`
	KubernetesAPI        *KubernetesAPI      `json:"kubernetes_api,omitempty"` // nil: no proxy listener
	Gitops               *Gitops             `json:"gitops,omitempty"`         // until 17
	RemoteDevelopment    *RemoteDevelopment  `json:"remote_development,omitempty"`
	ReceptiveAgent       *ReceptiveAgent     `json:"receptive_agent,omitempty"` // 17 on
}

// AgentListen is the listener for agents, WebSocket and gRPC.
type AgentListen struct {
	Network                      string    `json:"network,omitempty"`
	Address                      string    `json:"address,omitempty"`
	Websocket                    bool      `json:"websocket,omitempty"`
	CertificateFile              string    `json:"certificate_file,omitempty"`
	KeyFile                      string    `json:"key_file,omitempty"`
	ConnectionsPerTokenPerMinute uint32    `json:"connections_per_token_per_minute,omitempty"`
	MaxConnectionAge             *Duration `json:"max_connection_age,omitempty"`
	ListenGracePeriod            *Duration `json:"listen_grace_period,omitempty"`
}

// AgentConfiguration is how agents get their configuration.
type AgentConfiguration struct {
	PollPeriod               *Duration `json:"poll_period,omitempty"`
	MaxConfigurationFileSize uint32    `json:"max_configuration_file_size,omitempty"`
}

// KubernetesAPI is the Kubernetes API proxy.
type KubernetesAPI struct {
	Listen                    *KubernetesAPIListen `json:"listen,omitempty"`
	URLPathPrefix             string               `json:"url_path_prefix,omitempty"`
	AllowedAgentCacheTTL      *Duration            `json:"allowed_agent_cache_ttl,omitempty"`
	AllowedAgentCacheErrorTTL *Duration            `json:"allowed_agent_cache_error_ttl,omitempty"`
	WebsocketTokenSecretFile  string               `json:"websocket_token_secret_file,omitempty"` // 17 on, required from 18
	// ExtraAllowedResponseHeaders pass beside those that kas knows; from 18.3,
	// where the others began to be dropped.
	ExtraAllowedResponseHeaders []string `json:"extra_allowed_response_headers,omitempty"`
}

// KubernetesAPIListen is the proxy's listener.
type KubernetesAPIListen struct {
	Network             string    `json:"network,omitempty"`
	Address             string    `json:"address,omitempty"`
	CertificateFile     string    `json:"certificate_file,omitempty"`
	KeyFile             string    `json:"key_file,omitempty"`
	ListenGracePeriod   *Duration `json:"listen_grace_period,omitempty"`
	ShutdownGracePeriod *Duration `json:"shutdown_grace_period,omitempty"`
}

// Observability is metrics, probes and logs.
type Observability struct {
	UsageReportingPeriod *Duration            `json:"usage_reporting_period,omitempty"`
	Listen               *ObservabilityListen `json:"listen,omitempty"`
	Prometheus           *URLPath             `json:"prometheus,omitempty"`
	Logging              *Logging             `json:"logging,omitempty"`
	LivenessProbe        *URLPath             `json:"liveness_probe,omitempty"`
	ReadinessProbe       *URLPath             `json:"readiness_probe,omitempty"`
	Tracing              *Tracing             `json:"tracing,omitempty"`
	Sentry               *Sentry              `json:"sentry,omitempty"`
	GoogleProfiler       *GoogleProfiler      `json:"google_profiler,omitempty"`
}

// ObservabilityListen is the listener of metrics and probes.
type ObservabilityListen struct {
	Network         string  `json:"network,omitempty"`
	Address         string  `json:"address,omitempty"`
	CertificateFile *string `json:"certificate_file,omitempty"`
	KeyFile         *string `json:"key_file,omitempty"`
}

// URLPath is a section that holds a path only.
type URLPath struct {
	URLPath string `json:"url_path,omitempty"`
}

// Logging levels are info, debug, warn or error.
type Logging struct {
	Level     LogLevel  `json:"level,omitempty"`
	GRPCLevel *LogLevel `json:"grpc_level,omitempty"`
}

// Gitaly is kas's rate limits towards Gitaly.
type Gitaly struct {
	GlobalAPIRateLimit    *RateLimit `json:"global_api_rate_limit,omitempty"`
	PerServerAPIRateLimit *RateLimit `json:"per_server_api_rate_limit,omitempty"`
}

// Redis is the shared registry. Exactly one of Server and Sentinel is set.
type Redis struct {
	Server        *RedisServer   `json:"server,omitempty"`
	Sentinel      *RedisSentinel `json:"sentinel,omitempty"`
	DialTimeout   *Duration      `json:"dial_timeout,omitempty"`
	WriteTimeout  *Duration      `json:"write_timeout,omitempty"`
	KeyPrefix     string         `json:"key_prefix,omitempty"`
	Username      string         `json:"username,omitempty"`
	PasswordFile  string         `json:"password_file,omitempty"`
	Network       string         `json:"network,omitempty"`
	TLS           *RedisTLS      `json:"tls,omitempty"`
	DatabaseIndex int32          `json:"database_index,omitempty"`
	PoolSize      int32          `json:"pool_size,omitempty"`    // kas ignores it
	ReadTimeout   *Duration      `json:"read_timeout,omitempty"` // kas ignores it
	IdleTimeout   *Duration      `json:"idle_timeout,omitempty"` // kas ignores it
}

// RedisServer is one Redis.
type RedisServer struct {
	Address string `json:"address"`
}

// RedisSentinel is a Redis found through sentinels.
type RedisSentinel struct {
	MasterName           string    `json:"master_name"`
	Addresses            []string  `json:"addresses"`
	SentinelPasswordFile string    `json:"sentinel_password_file,omitempty"`
	TLS                  *RedisTLS `json:"tls,omitempty"`
}

// RedisTLS is TLS towards Redis.
type RedisTLS struct {
	Enabled           bool   `json:"enabled,omitempty"`
	CertificateFile   string `json:"certificate_file,omitempty"`
	KeyFile           string `json:"key_file,omitempty"`
	CACertificateFile string `json:"ca_certificate_file,omitempty"`
}

// API is the listener that Rails calls.
type API struct {
	Listen *APIListen `json:"listen,omitempty"`
}

// APIListen is API's listener.
type APIListen struct {
	Network                  string    `json:"network,omitempty"`
	Address                  string    `json:"address,omitempty"`
	AuthenticationSecretFile string    `json:"authentication_secret_file"`
	CertificateFile          string    `json:"certificate_file,omitempty"`
	KeyFile                  string    `json:"key_file,omitempty"`
	MaxConnectionAge         *Duration `json:"max_connection_age,omitempty"`
	ListenGracePeriod        *Duration `json:"listen_grace_period,omitempty"`
}

// PrivateAPI is the listener that other replicas of kas call.
type PrivateAPI struct {
	Listen *PrivateAPIListen `json:"listen,omitempty"`
}

// PrivateAPIListen is PrivateAPI's listener.
type PrivateAPIListen struct {
	APIListen
	CACertificateFile string `json:"ca_certificate_file,omitempty"`
}

// Config names a command whose output is further configuration.
type Config struct {
	Command string `json:"command,omitempty"`
}

// Workspaces switches the workspaces proxy.
type Workspaces struct {
	Enabled bool              `json:"enabled,omitempty"`
	Listen  *WorkspacesListen `json:"listen,omitempty"`
}

// WorkspacesListen is the listener of the workspaces proxy.
type WorkspacesListen struct {
	Network             string    `json:"network,omitempty"`
	Address             string    `json:"address,omitempty"`
	ListenGracePeriod   *Duration `json:"listen_grace_period,omitempty"`
	ShutdownGracePeriod *Duration `json:"shutdown_grace_period,omitempty"`
}

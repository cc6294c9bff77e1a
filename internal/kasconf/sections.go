package kasconf

// Sections that GitLab's kas reads and kasgen does not render. They are here
// so that a file written by somebody else is read whole.

// Gitops is the pull-based deployment that was removed in 17.
type Gitops struct {
	PollPeriod               *Duration `json:"poll_period,omitempty"`
	ProjectInfoCacheTTL      *Duration `json:"project_info_cache_ttl,omitempty"`
	ProjectInfoCacheErrorTTL *Duration `json:"project_info_cache_error_ttl,omitempty"`
	MaxManifestFileSize      uint32    `json:"max_manifest_file_size,omitempty"`
	MaxTotalManifestFileSize uint32    `json:"max_total_manifest_file_size,omitempty"`
	MaxNumberOfPaths         uint32    `json:"max_number_of_paths,omitempty"`
	MaxNumberOfFiles         uint32    `json:"max_number_of_files,omitempty"`
}

// RemoteDevelopment is the workspaces module's polling.
type RemoteDevelopment struct {
	PollPeriod *Duration `json:"poll_period,omitempty"`
}

// ReceptiveAgent is how kas connects to agents that do not connect to kas.
type ReceptiveAgent struct {
	PollPeriod *Duration `json:"poll_period,omitempty"`
}

// Tracing is where spans go; its presence switches tracing on.
type Tracing struct {
	OTLPEndpoint          string  `json:"otlp_endpoint"`
	OTLPTokenSecretFile   *string `json:"otlp_token_secret_file,omitempty"`
	OTLPCACertificateFile *string `json:"otlp_ca_certificate_file,omitempty"`
}

// Sentry is where errors go.
type Sentry struct {
	DSN         string `json:"dsn,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// GoogleProfiler is continuous profiling.
type GoogleProfiler struct {
	Enabled         bool   `json:"enabled,omitempty"`
	ProjectID       string `json:"project_id,omitempty"`
	CredentialsFile string `json:"credentials_file,omitempty"`
	DebugLogging    bool   `json:"debug_logging,omitempty"`
}

// Autoflow is an experiment of GitLab's.
type Autoflow struct {
	Temporal   *AutoflowTemporal `json:"temporal,omitempty"`
	HTTPClient map[string]string `json:"http_client,omitempty"`
}

// AutoflowTemporal is Autoflow's workflow engine.
type AutoflowTemporal struct {
	HostPort               string              `json:"host_port,omitempty"`
	Namespace              string              `json:"namespace,omitempty"`
	EnableTLS              bool                `json:"enable_tls,omitempty"`
	CertificateFile        string              `json:"certificate_file,omitempty"`
	KeyFile                string              `json:"key_file,omitempty"`
	WorkflowDataEncryption *AutoflowEncryption `json:"workflow_data_encryption,omitempty"`
}

// AutoflowEncryption is how AutoflowTemporal's data is encrypted.
type AutoflowEncryption struct {
	SecretKeyFile string         `json:"secret_key_file,omitempty"`
	CodecServer   *AutoflowCodec `json:"codec_server,omitempty"`
}

// AutoflowCodec is the listener that decrypts for Temporal's web interface.
type AutoflowCodec struct {
	Listen               *ObservabilityListen `json:"listen,omitempty"`
	TemporalWebUIURL     string               `json:"temporal_web_ui_url,omitempty"`
	TemporalOIDCURL      string               `json:"temporal_oidc_url,omitempty"`
	AuthorizedUserEmails []string             `json:"authorized_user_emails,omitempty"`
}

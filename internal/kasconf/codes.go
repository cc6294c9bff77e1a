package kasconf

// The codes of faults in a kas-config.yaml.
const (
	CodeRequired    = "KAS1201" // a section or field that kas does not start without
	CodeAddress     = "KAS1202" // not a URI or host:port
	CodeDuration    = "KAS1203" // a duration that must be positive
	CodePair        = "KAS1204" // a certificate without key or the reverse
	CodeChoice      = "KAS1205" // a value outside an enumeration
	CodeRedis       = "KAS1206" // no or two ways to Redis
	CodeRefresh     = "KAS1207" // redis_conn_info_refresh not below redis_conn_info_ttl
	CodeNumber      = "KAS1208" // a number that cannot be negative
	CodeGate        = "KAS1209" // a key that this version of kas does not have
	CodeGatedNeed   = "KAS1210" // a key that this version of kas requires
	CodeGitLabRedis = "KAS1211" // GitLab's kas without Redis
)

package edgeconf

// The codes of faults in an edge.yaml.
const (
	CodeKind      = "KAS1101" // another format or version
	CodeMissing   = "KAS1102" // a field without which nothing can run
	CodeAddress   = "KAS1103" // not host:port
	CodeDuplicate = "KAS1104" // two listeners or upstreams of one name or address
	CodeUpstream  = "KAS1105" // a route to an upstream that is not there
	CodePrefix    = "KAS1106" // a path prefix that can match nothing
	CodeTLS       = "KAS1107" // an unknown TLS version or ALPN protocol
	CodeLimit     = "KAS1108" // a limit that is missing or zero
	CodeUpgrade   = "KAS1109" // an Upgrade token that is not let through
	CodeName      = "KAS1110" // not a host name
	CodeProxy     = "KAS1111" // an unknown PROXY protocol version
)

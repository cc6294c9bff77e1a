package generator

// Code is what a finding's code stands for.
type Code struct {
	ID    string
	Title string
}

// Codes lists every code of kasgen.yaml, of a bundle and of the formats that
// kasgen itself defines or writes, in order. A code never changes its meaning
// and is never used again for another.
func Codes() []Code {
	return []Code{
		{"KAS1001", "the file is not YAML"},
		{"KAS1002", "a byte that no YAML file may hold"},
		{"KAS1003", "the file is too long, or has too many faults"},
		{"KAS1004", "more than one YAML document"},
		{"KAS1005", "unknown key"},
		{"KAS1006", "a key twice in one mapping"},
		{"KAS1007", "a value of the wrong type"},
		{"KAS1008", "a value that its type refuses"},
		{"KAS1009", "aliases that expand without end"},

		{"KAS1101", "edge.yaml: another format or version"},
		{"KAS1102", "edge.yaml: a field without which nothing can run"},
		{"KAS1103", "edge.yaml: not host:port"},
		{"KAS1104", "edge.yaml: two entries share what must be their own"},
		{"KAS1105", "edge.yaml: a route to an upstream that is not there"},
		{"KAS1106", "edge.yaml: a path prefix that can match nothing"},
		{"KAS1107", "edge.yaml: an unknown TLS version or ALPN protocol"},
		{"KAS1108", "edge.yaml: a limit that is missing or zero"},
		{"KAS1109", "edge.yaml: an upgrade that is not let through"},
		{"KAS1110", "edge.yaml: not a host name"},
		{"KAS1111", "edge.yaml: an unknown PROXY protocol version"},

		{"KAS1201", "kas-config.yaml: a section or field that kas does not start without"},
		{"KAS1202", "kas-config.yaml: not a URI or host:port"},
		{"KAS1203", "kas-config.yaml: a duration that must be positive"},
		{"KAS1204", "kas-config.yaml: a certificate without key or the reverse"},
		{"KAS1205", "kas-config.yaml: a value outside an enumeration"},
		{"KAS1206", "kas-config.yaml: no or two ways to Redis"},
		{"KAS1207", "kas-config.yaml: redis_conn_info_refresh is not below redis_conn_info_ttl"},
		{"KAS1208", "kas-config.yaml: a number that cannot be negative"},
		{"KAS1209", "kas-config.yaml: a key that this version of kas does not have"},
		{"KAS1210", "kas-config.yaml: a key that this version of kas requires"},
		{"KAS1211", "kas-config.yaml: GitLab's kas without Redis"},

		{"KAS1301", "kasgen.lock.yaml: another format or version"},
		{"KAS1302", "kasgen.lock.yaml: an entry that kasgen does not write"},
		{"KAS1303", "kasgen.lock.yaml: a file listed twice"},

		{"KAS1401", "kasgen.yaml: another version"},
		{"KAS1402", "kasgen.yaml: a field that must be set"},
		{"KAS1403", "kasgen.yaml: not an http or https URL"},
		{"KAS1404", "kasgen.yaml: not a host name"},
		{"KAS1405", "kasgen.yaml: not host:port"},
		{"KAS1406", "kasgen.yaml: a value outside an enumeration"},
		{"KAS1407", "kasgen.yaml: not a plain absolute path"},
		{"KAS1408", "kasgen.yaml: a limit out of range"},
		{"KAS1409", "kasgen.yaml: not a version, or one that is too old"},
		{"KAS1410", "kasgen.yaml: a path prefix that cannot divide the Kubernetes API from the agents"},
		{"KAS1411", "kasgen.yaml: an entry twice"},

		{"KAS1501", "two listeners overlap"},
		{"KAS1502", "topology A behind an HTTP balancer"},
		{"KAS1503", "nginx-stream cannot send PROXY v2"},
		{"KAS1504", "several embedded kas nodes without a shared registry"},
		{"KAS1505", "GitLab's kas without Redis"},
		{"KAS1506", "ACME cannot be used yet"},
		{"KAS1507", "a port shared with GitLab whose TLS the balancer ends"},
		{"KAS1508", "nginx-stream cannot send different PROXY headers from one port"},
		{"KAS1509", "kas has GitLab's own name"},
		{"KAS1510", "other machines cannot reach a loopback address"},
		{"KAS1511", "a day for removing what is removed already"},
		{"KAS1512", "nothing is rendered for somebody else's balancer"},
		{"KAS1513", "this nginx cannot negotiate ALPN"},
		{"KAS1514", "an idle limit that cuts agents between pings"},
		{"KAS1515", "the development CA does not write other certificates' files"},
		{"KAS1516", "cleartext between machines"},
		{"KAS1517", "an external balancer that ends TLS must negotiate ALPN"},

		{"KAS1601", "a file of a bundle was changed by hand"},
		{"KAS1602", "a file in a bundle that kasgen did not write"},
		{"KAS1603", "a directory with files that is no bundle"},
		{"KAS1604", "a manifest that cannot be read"},
	}
}

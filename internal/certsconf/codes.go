package certsconf

// The codes of faults in a certs.yaml.
const (
	CodeKind      = "KAS1901" // another format or version
	CodeMissing   = "KAS1902" // a field without which nothing can run
	CodeName      = "KAS1903" // not a name that a CA certifies in this way
	CodeChoice    = "KAS1904" // a value outside an enumeration
	CodeURL       = "KAS1905" // a directory that is not an https URL
	CodePath      = "KAS1906" // not an absolute path
	CodeDuplicate = "KAS1907" // two certificates share what must be their own
	CodeAddress   = "KAS1908" // not host:port
	CodeWebroot   = "KAS1909" // a directory for answers without http-01
	CodeStranger  = "KAS1910" // a name that the bundle's manifest does not have
)

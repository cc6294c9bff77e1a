package lab

// Connections are the upgraded streams that the stand-in cluster's API server
// has open; 0 with a real cluster.
func (l *Lab) Connections() int {
	if l.cluster == nil {
		return 0
	}
	return l.cluster.Connections()
}

// Server is host:port of the front.
func (l *Lab) Server() string { return l.server }

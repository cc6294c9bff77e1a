package httpbalancer

import "time"

// Model is a cloud's balancer as far as its documentation tells.
type Model struct {
	Name   string
	Title  string
	Kind   Kind
	Limits []Limit
}

// Limit is one thing that a balancer does not do, or not for longer than it
// says.
type Limit struct {
	What   string
	Source string        // where it is documented; empty: unknown
	Life   time.Duration // of an upgraded connection, silent or not; 0: not that
}

// Models are those that there are.
func Models() []Model {
	return []Model{
		{
			Name: "gke-http", Title: "Google's HTTP(S) load balancer, HTTP/1.1 to its backend", Kind: HTTP1,
			Limits: []Limit{
				{What: "an upgrade to WebSocket passes, any other does not", Source: "https://cloud.google.com/load-balancing/docs/https"},
				{What: "an upgraded connection lives as long as the backend's time limit, 30 s by default, silent or not", Life: 30 * time.Second,
					Source: "https://cloud.google.com/load-balancing/docs/https"},
				{What: "gRPC needs HTTP/2 to the backend", Source: "https://cloud.google.com/load-balancing/docs/https"},
			},
		},
		{
			Name: "gke-http2", Title: "Google's HTTP(S) load balancer, HTTP/2 to its backend", Kind: HTTP2,
			Limits: []Limit{{What: "nothing is upgraded in HTTP/2", Source: "https://cloud.google.com/load-balancing/docs/https"}},
		},
		{
			Name: "alb", Title: "AWS's Application Load Balancer, HTTP/1.1 to its target", Kind: HTTP1,
			Limits: []Limit{
				{What: "an upgrade to WebSocket passes", Source: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html"},
				{What: "whether an upgrade to SPDY passes; users report that it does not"},
				{What: "a silent connection lives 60 s by default; the model does not cut it", Source: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"},
			},
		},
	}
}

// Names are the models' names.
func Names() []string {
	var names []string
	for _, m := range Models() {
		names = append(names, m.Name)
	}
	return names
}

// Find is the model of that name.
func Find(name string) (Model, bool) {
	for _, m := range Models() {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}

// Life is how long an upgraded connection lives; 0: as long as it likes.
func (m Model) Life() time.Duration {
	for _, l := range m.Limits {
		if l.Life > 0 {
			return l.Life
		}
	}
	return 0
}

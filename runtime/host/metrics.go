package host

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds a metric, or finds the one of that name that an older
// generation of the same role has added: a counter counts on. It is not for
// functions, which would go on telling of the older one.
func Register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	err := r.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err) // two metrics of one name, a fault of this program
	}
	return c
}

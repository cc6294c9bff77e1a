package scenarios

import (
	"log/slog"

	"k8s.io/klog/v2"
)

// quiet sends what Kubernetes' client library logs for the whole process to
// log, or nowhere: it calls every stream that is cut an error.
func quiet(log *slog.Logger, debug bool) {
	if !debug {
		log = slog.New(slog.DiscardHandler)
	}
	klog.SetSlogLogger(log)
}

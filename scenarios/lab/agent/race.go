//go:build race

package agent

import "google.golang.org/grpc/encoding/gzip"

// Below the race detector compressing costs more than all the rest: what is
// tested there is framed as ever, and stored.
func init() {
	if err := gzip.SetLevel(0); err != nil {
		panic(err)
	}
}

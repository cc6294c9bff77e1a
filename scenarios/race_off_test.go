//go:build !race

package scenarios

// raceEnabled says that the race detector is on.
const raceEnabled = false

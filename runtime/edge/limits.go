package edge

import "time"

// Limits are how many connections the file allows at once, which it does not
// say, and how long streams live on at the end.
func (c *Config) Limits() (connections int, drain time.Duration) {
	return 0, time.Duration(c.file.Drain)
}

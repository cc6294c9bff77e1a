package haproxy

import "time"

// Limits are how many connections the file allows at once, 0 if it does not
// say, and how long streams live on at the end, 0 if as long as they like.
func (c *Config) Limits() (connections int, drain time.Duration) {
	return c.balancer.MaxConn, c.balancer.Drain
}

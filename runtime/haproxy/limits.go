package haproxy

import "time"

// Limits are how many connections the file allows at once, 0 if it does not
// say, and how long streams live on at the end, 0 if as long as they like.
func (c *Config) Limits() (connections int, drain time.Duration) {
	return c.balancer.MaxConn, c.balancer.Drain
}

// Bound is how long streams live on at the end if the file does not say.
func (c *Config) Bound(drain time.Duration) {
	if c.balancer.Drain == 0 {
		c.balancer.Drain = drain
	}
}

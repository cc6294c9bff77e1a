package kas

import "time"

// Limits are how many connections the file allows at once, which it does not
// say, and how long streams live on at the end, the time included in which
// listeners still accept.
func (c *Config) Limits() (connections int, drain time.Duration) {
	return 0, longestGrace(c.set) + c.drainTime()
}

// drainTime is that of the listener with the most patience.
func (c *Config) drainTime() time.Duration {
	limit := time.Duration(*c.file.Agent.Listen.ListenGracePeriod)
	if k := c.file.Agent.KubernetesAPI; k != nil {
		limit = max(limit, time.Duration(*k.Listen.ShutdownGracePeriod))
	}
	return limit
}

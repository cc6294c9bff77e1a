package kas

import (
	"sync"
	"time"

	"kasgen/internal/kasconf"
	"kasgen/runtime/accept"
)

// accept adds a listener of a section of the file.
func (s *Server) accept(a *accept.Listener, section string) {
	s.accepts = append(s.accepts, a)
	s.grace[a] = graceOf(s.set, section)
}

// graceOf is how long a listener goes on accepting after SIGTERM. GitLab's kas
// waits 5 s where the file says nothing, for Kubernetes to take the pod out of
// its service; here it waits only where the file says so, because the balancer
// of the same bundle closes at the same moment.
func graceOf(set *kasconf.File, section string) time.Duration {
	var grace *kasconf.Duration
	switch section {
	case "agent.listen":
		if set.Agent != nil && set.Agent.Listen != nil {
			grace = set.Agent.Listen.ListenGracePeriod
		}
	case "agent.kubernetes_api.listen":
		if l := set.Agent.KubernetesAPI.Listen; l != nil {
			grace = l.ListenGracePeriod
		}
	case "api.listen":
		grace = set.API.Listen.ListenGracePeriod
	case "private_api.listen":
		grace = set.PrivateAPI.Listen.ListenGracePeriod
	}
	return grace.Or(0)
}

// stopListening closes each listener after its grace period.
func (s *Server) stopListening() {
	var closing sync.WaitGroup
	for _, a := range s.accepts {
		closing.Go(func() {
			time.Sleep(s.grace[a])
			if err := a.Close(); err != nil {
				s.log.Warn("closing a listener", "error", err)
			}
		})
	}
	closing.Wait()
}

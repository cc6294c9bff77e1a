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
	agent, api, private := set.Agent, set.API, set.PrivateAPI
	switch {
	case section == "agent.listen" && agent != nil && agent.Listen != nil:
		grace = agent.Listen.ListenGracePeriod
	case section == "agent.kubernetes_api.listen" && agent != nil && agent.KubernetesAPI != nil && agent.KubernetesAPI.Listen != nil:
		grace = agent.KubernetesAPI.Listen.ListenGracePeriod
	case section == "api.listen" && api != nil && api.Listen != nil:
		grace = api.Listen.ListenGracePeriod
	case section == "private_api.listen" && private != nil && private.Listen != nil:
		grace = private.Listen.ListenGracePeriod
	}
	return grace.Or(0)
}

// longestGrace is that of the listener that closes last.
func longestGrace(set *kasconf.File) time.Duration {
	longest := time.Duration(0)
	for _, section := range []string{"agent.listen", "agent.kubernetes_api.listen", "api.listen", "private_api.listen"} {
		longest = max(longest, graceOf(set, section))
	}
	return longest
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

package omnibus

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// showLimit is how long gitlab-ctl may take to evaluate gitlab.rb.
const showLimit = 30 * time.Second

// current are the settings that the next run of chef will have: those of the last
// one, or what gitlab.rb says where that was written since. warn hears why it
// could not be asked; what it prints holds secrets, and nobody sees that.
func (o options) current(ctx context.Context, warn func(format string, args ...any)) (*Resolved, error) {
	if o.attributes != "" || !o.host.has(gitlabCtl) || !o.host.rewritten() {
		return ReadResolved(o.attributes, o.host.root)
	}
	ctx, cancel := context.WithTimeout(ctx, showLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.host.at(gitlabCtl), "show-config")
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe
	text, err := cmd.Output()
	if err == nil {
		r, fault := ParseResolved("gitlab-ctl show-config", text)
		if fault == nil {
			return r, nil
		}
		err = fault
	}
	warn("kasgen: gitlab.rb has changed, and `gitlab-ctl show-config` does not say how, so the settings of the last run count: %v", err)
	return ReadResolved("", o.host.root)
}

// rewritten says whether gitlab.rb is newer than what chef last worked with.
func (h host) rewritten() bool {
	info, err := os.Stat(h.at(gitlabFile))
	if err != nil {
		return false
	}
	done, err := h.reconfigured(info.ModTime())
	return err == nil && !done
}

// warn is for a person at a terminal or in a log.
func (r *reconfiguration) warn(format string, args ...any) {
	fmt.Fprintf(r.streams.Err, format+"\n", args...)
}

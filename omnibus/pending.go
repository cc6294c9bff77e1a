package omnibus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kasgen/omnibus/ledger"
)

// pending are files that have changed and that no program has read yet: paths of
// the bundle, and units. The file is one of the changes, so that it is there
// exactly if they are.
func (p *plan) pending(changed []string) (ledger.Change, error) {
	old, _, err := p.host.readPending()
	if err != nil {
		return ledger.Change{}, err
	}
	all := slices.Sorted(slices.Values(append(old, changed...)))
	text, err := json.Marshal(slices.Compact(all))
	return ledger.Change{Path: p.host.at(pendingFile), Data: append(text, '\n'), Mode: 0o600}, err
}

func (h host) readPending() ([]string, time.Time, error) {
	var list []string
	data, there, err := h.read(pendingFile)
	if err != nil || !there {
		return nil, time.Time{}, err
	}
	info, err := os.Stat(h.at(pendingFile))
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", h.at(pendingFile), err)
	}
	return list, info.ModTime(), nil
}

// errFailed says that the reconfigure before this has not come to its end.
var errFailed = errors.New("gitlab-ctl reconfigure has failed, or has not run: nothing was reloaded")

// settle has programs read what changed, without a restart of any that runs. It
// says what it did. Where chef has to have run before, and has not, it does
// nothing and says errFailed.
func (o options) settle(ctx context.Context, afterChef bool, say func(string)) error {
	h := o.host
	list, since, err := h.readPending()
	if err != nil || len(list) == 0 {
		return err
	}
	if afterChef {
		if done, err := h.reconfigured(since); err != nil || !done {
			return errors.Join(err, errFailed)
		}
	}
	var errs []error
	do := func(what, name string, args ...string) {
		if err := h.run(ctx, name, args...); err != nil {
			errs = append(errs, err)
			return
		}
		say(what)
	}
	if slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(p, VhostsFolder+"/") }) && h.has(gitlabCtl) {
		do("GitLab's nginx was reloaded", h.at(gitlabCtl), "hup", "nginx")
	}
	switch {
	case !slices.ContainsFunc(list, func(p string) bool { return p != RubyPath && !strings.HasPrefix(p, VhostsFolder+"/") }):
	case !h.real():
		say("services of systemd are left alone below --root")
	default:
		o.services(do)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.Remove(h.at(pendingFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// services has systemd take in what changed: what runs is reloaded, what does
// not is started.
func (o options) services(do func(what, name string, args ...string)) {
	if !o.host.has(filepath.Join(unitsFolder, "kasgen.target")) {
		do("systemd has read its units", "systemctl", "daemon-reload")
		return
	}
	do("the user kasgen is there", "systemd-sysusers", o.host.at(filepath.Join(unitsFolder, "kasgen.sysusers.conf")))
	do("systemd has read its units", "systemctl", "daemon-reload")
	do("what ran of kasgen's services was reloaded", "systemctl", "try-reload-or-restart", "kasgen-*.service")
	do("kasgen's services are started, now and at boot", "systemctl", "enable", "--now", "kasgen.target")
}

// reconfigured says whether chef has written down its attributes since.
func (h host) reconfigured(since time.Time) (bool, error) {
	list, err := filepath.Glob(h.at(filepath.Join(nodes, "*.json")))
	if err != nil {
		return false, err
	}
	file, err := newest(list)
	if err != nil || file == "" {
		return false, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return false, err
	}
	return !info.ModTime().Before(since), nil
}

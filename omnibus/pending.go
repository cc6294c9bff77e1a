package omnibus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/omnibus/ledger"
	"kasgen/runtime"
)

// pending are files that have changed and that no program has read yet: paths of
// the bundle, and units. The file is one of the changes, so that it is there
// exactly if they are.
func (p *plan) pending(changed []string) (ledger.Change, error) {
	old, since, err := p.host.readPending()
	if err != nil {
		return ledger.Change{}, err
	}
	if done, err := p.host.reconfigured(since); err != nil {
		return ledger.Change{}, err
	} else if done {
		// Chef has made the keys effective that were waiting for it.
		old = slices.DeleteFunc(old, func(path string) bool { return path == RubyPath })
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

// await has what is pending wait for a run of chef from now on. What somebody
// has written down before, show-config may be, is none.
func (h host) await() error {
	now := time.Now()
	if err := os.Chtimes(h.at(pendingFile), now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
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
	if err := o.tell(ctx, list, say); err != nil {
		return err
	}
	if err := os.Remove(h.at(pendingFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// again has programs read the files that are back after some had read others.
// What fails now has failed before, and was said.
func (o options) again(ctx context.Context, p *plan) {
	var list []string
	for _, note := range p.note {
		if err := json.Unmarshal(note.Data, &list); err != nil {
			return // it is our own
		}
	}
	_ = o.host.stopGone(ctx, list)
	_ = o.tell(ctx, list, func(string) {})
}

// stopGone ends what runs of units whose files are gone.
func (h host) stopGone(ctx context.Context, list []string) error {
	var gone []string
	for _, p := range list {
		if strings.HasPrefix(p, unitsFolder+"/") && path.Ext(p) != ".conf" && !h.has(p) {
			gone = append(gone, path.Base(p))
		}
	}
	if len(gone) == 0 || !h.real() || !h.managed() {
		return nil
	}
	const notLoaded = 5 // it has been stopped, and forgotten
	if err := h.run(ctx, "systemctl", append([]string{"stop"}, gone...)...); err != nil && exitCode(err) != notLoaded {
		return err
	}
	if !slices.Contains(gone, "kasgen.target") {
		return nil
	}
	// It would be wanted at each boot, and missed. `systemctl disable` complains of
	// a unit whose file is not there.
	if err := os.Remove(h.at(filepath.Join(unitsFolder, "multi-user.target.wants", "kasgen.target"))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// tell has programs read the files of list.
func (o options) tell(ctx context.Context, list []string, say func(string)) error {
	h := o.host
	var errs []error
	do := func(what, name string, args ...string) {
		if len(errs) > 0 {
			return // what follows would be of a state that nobody meant
		}
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
	case !slices.ContainsFunc(list, ofServices):
	case !h.real():
		say("services of systemd are left alone below --root")
	case !h.managed() && !slices.ContainsFunc(list, h.runs):
		say("there is no systemd here, as in a container: run `gitlab-ctl hup nginx` when the certificate has changed")
	case !h.managed():
		say("there is no systemd here, as in a container: run what the topology needs beside GitLab by other means, " +
			"`kasgen run " + Directory + "` with the role of each service, and have it read its files again with SIGHUP")
	default:
		o.services(do, list)
	}
	return errors.Join(errs...)
}

// ofServices says whether a path that has changed is a service's: a unit, or a
// file that one reads. GitLab's nginx reads the vhosts, Omnibus the keys, and the
// manifest nobody.
func ofServices(path string) bool {
	return path != RubyPath && path != lockfile.Name && !strings.HasPrefix(path, VhostsFolder+"/")
}

// runs says whether what has changed is a service's that is there: a unit of it,
// or a file of its role.
func (h host) runs(path string) bool {
	return len(h.readers([]string{path})) > 0 || len(h.sockets([]string{path})) > 0
}

// managed says whether systemd is the machine's init (sd_booted(3)).
func (h host) managed() bool { return h.has("run/systemd/system") }

// readers are the services that read what has changed: their unit, or a file of
// their role. Those that are gone were stopped before.
func (h host) readers(list []string) []string {
	roles := map[string]runtime.Role{"haproxy": runtime.Front, "nginx": runtime.Front, "edge": runtime.Edge, "certs": runtime.Certs}
	var names []string
	for _, p := range list {
		folder, _, _ := strings.Cut(p, "/")
		name := "kasgen-" + string(roles[folder]) + ".service"
		if strings.HasPrefix(p, unitsFolder+"/") {
			name = path.Base(p)
		}
		if name == "kasgen-reload.service" {
			continue // it runs for a moment, when a certificate has changed
		}
		if (roles[folder] != "" || strings.HasSuffix(p, ".service")) && !slices.Contains(names, name) && h.has(filepath.Join(unitsFolder, name)) {
			names = append(names, name)
		}
	}
	return names
}

// sockets are the units whose addresses have changed, each with its service,
// which has the old ones open.
func (h host) sockets(list []string) []string {
	var names []string
	for _, p := range list {
		if name, ok := strings.CutSuffix(path.Base(p), ".socket"); ok && h.has(filepath.Join(unitsFolder, path.Base(p))) {
			names = append(names, name+".socket", name+".service")
		}
	}
	return names
}

// services has systemd take in what changed: what runs is reloaded, what does
// not is started. A socket that listens elsewhere from now on has to be opened
// anew, and its streams end with it.
func (o options) services(do func(what, name string, args ...string), list []string) {
	if !o.host.has(filepath.Join(unitsFolder, "kasgen.target")) {
		do("systemd has read its units", "systemctl", "daemon-reload")
		return
	}
	if o.host.has(filepath.Join(unitsFolder, sysusers)) {
		do("the user kasgen is there", "systemd-sysusers", o.host.at(filepath.Join(unitsFolder, sysusers)))
	}
	do("systemd has read its units", "systemctl", "daemon-reload")
	if slices.Contains(list, path.Join(unitsFolder, reloadPath)) && o.host.has(filepath.Join(unitsFolder, reloadPath)) {
		do("another certificate is watched, if one was", "systemctl", "try-restart", reloadPath)
	}
	if moved := o.host.sockets(list); len(moved) > 0 {
		do("what ran of "+strings.Join(moved, " and ")+" was restarted: the socket's unit has changed, and with it where it listens", "systemctl", append([]string{"try-restart"}, moved...)...)
	}
	if changed := o.host.readers(list); len(changed) > 0 {
		do("what ran of "+strings.Join(changed, ", ")+" was reloaded", "systemctl", append([]string{"try-reload-or-restart"}, changed...)...)
	}
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

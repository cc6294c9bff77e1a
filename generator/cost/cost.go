// Package cost owns what it costs to put one set of files in the place of
// another: which programs are reloaded or restarted, and what agents and open
// streams notice. It reads the files as their programs do and knows no spec
// and no topology. Its law: it says what the files mean, never how they are
// written, and where it cannot tell it says so.
package cost

import (
	"maps"
	"slices"
)

// Report is what a change costs.
type Report struct {
	Roles        []Role        `json:"roles"`
	Listeners    []Listener    `json:"listeners"`
	Names        []Name        `json:"names"`
	Certificates []Certificate `json:"certificates"`
	Traffic      []Traffic     `json:"traffic"`
	Agents       []Loss        `json:"agents"`  // who reconnect
	Streams      []Loss        `json:"streams"` // that are cut
}

// Role is the program of one file.
type Role struct {
	File    string   `json:"file"`
	Program string   `json:"program"`
	Action  Action   `json:"action"`
	Why     []string `json:"why"`
}

// Action is what a program needs so that its file takes effect.
type Action string

// The actions.
const (
	Nothing Action = "nothing"
	Reload  Action = "reload"
	Restart Action = "restart"
	Start   Action = "start"
	Stop    Action = "stop"
	Unknown Action = "unknown" // kasgen does not know the file, or cannot read it
)

// Loss is agents or streams that end, at which program and why.
type Loss struct {
	File string `json:"file"`
	When string `json:"when"`
	Why  string `json:"why"`
}

// Of is what it costs to put the files after, by path, in the place of before.
func Of(before, after map[string][]byte) *Report {
	r := &Report{Roles: []Role{}, Listeners: []Listener{}, Names: []Name{}, Certificates: []Certificate{}, Traffic: []Traffic{}, Agents: []Loss{}, Streams: []Loss{}}
	old, fresh := readAll(before), readAll(after)
	paths := slices.Sorted(maps.Keys(before))
	for path := range after {
		if _, ok := before[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		// Of a file that cannot be read on one side nothing is known to change.
		if a, b := old[path], fresh[path]; a != nil && b != nil && (a.broken || b.broken) {
			a.listen, a.names, a.certs = nil, nil, nil
			b.listen, b.names, b.certs = nil, nil, nil
		}
	}
	onlyOurs(old, before)
	onlyOurs(fresh, after)
	r.Listeners = listeners(old, fresh)
	for _, path := range paths {
		if o, f := old[path], fresh[path]; o != nil && o.program == programKeys || f != nil && f.program == programKeys {
			r.keys(path, o, f, old)
			continue
		}
		r.role(path, old[path], fresh[path])
	}
	r.Names = names(old, fresh)
	r.Certificates = append(certificates(old, fresh), renamed(before, after)...)
	r.Traffic = traffic(before, after)
	return r
}

// role adds what one file's program needs, and what that ends.
func (r *Report) role(path string, old, fresh *facts) {
	var role Role
	switch {
	case old == nil && fresh == nil:
		return // neither side has a program for it
	case old == nil:
		role = Role{Program: fresh.program, Action: Start}
	case fresh == nil:
		role = Role{Program: old.program, Action: Stop}
	default:
		role = compare(old, fresh)
	}
	if role.Program == programGuest && role.Action != Nothing {
		// nginx itself goes on, whatever becomes of this one of its files.
		role.Action, role.Why = Reload, []string{"gitlab-ctl hup nginx"}
	}
	role.File = path
	for _, f := range []*facts{old, fresh} {
		if f == nil {
			continue
		}
		for _, why := range f.unread {
			if !slices.Contains(role.Why, why) {
				role.Why = append(role.Why, why)
			}
		}
	}
	role.Why = append([]string{}, role.Why...)
	r.Roles = append(r.Roles, role)
	r.losses(role, old)
}

// compare is what a program that has the file needs to take the other one in.
func compare(old, fresh *facts) Role {
	role := Role{Program: fresh.program}
	switch {
	case old.text == fresh.text:
		role.Action = Nothing
	case old.broken || fresh.broken:
		role.Action = Unknown
	case old.form == fresh.form:
		role.Action, role.Why = Nothing, []string{"only comments and layout differ"}
	case fresh.program == programOther:
		role.Action, role.Why = Unknown, []string{"kasgen does not know what reads it"}
	case fresh.program == programKAS:
		role.Action, role.Why = Restart, []string{"GitLab's kas has no reload"}
	default:
		role.Action = Reload
		if why := onlyAtStart(old, fresh); len(why) > 0 {
			role.Action, role.Why = Restart, why
		}
	}
	return role
}

// losses says which agents and streams a role's action ends.
func (r *Report) losses(role Role, old *facts) {
	if old == nil || !old.carries {
		return
	}
	add := func(when, why string) {
		loss := Loss{File: role.File, When: when, Why: why}
		r.Agents, r.Streams = append(r.Agents, loss), append(r.Streams, loss)
	}
	switch role.Action {
	case Restart:
		add("at once", role.Program+" is restarted")
	case Stop:
		add("at once", role.Program+" is stopped")
	case Reload:
		if old.drain != "" {
			add("within "+old.drain, "what is open stays with the old process, and "+old.drainBy+" ends it")
			return
		}
		for _, l := range r.Listeners {
			if l.File == role.File && l.Kind != Appears {
				r.Agents = append(r.Agents, Loss{File: role.File, When: "when they connect again", Why: "their listener " + l.From + " " + string(l.Kind)})
			}
		}
	case Unknown:
		add("perhaps", "kasgen cannot tell what "+role.Program+" needs")
	case Nothing, Start:
	}
}

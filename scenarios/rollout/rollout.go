// Package rollout reads and runs files that say how people go from one way to
// reach kas to another: step by step, while commands run and agents work. It
// knows the lab and the operations. Its law: after each step everything is
// tried and every open session is asked, and what nobody was meant to notice,
// nobody noticed.
package rollout

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"

	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/scenario"
)

// Do is what a step does.
type Do string

// What steps do.
const (
	BesideIt Do = "beside"  // run another bundle's balancer and edge next to what runs
	Switch   Do = "switch"  // lead new connections to a bundle's balancer
	End      Do = "end"     // drain a bundle's balancer and edge
	Reload   Do = "reload"  // let a bundle take the place of what runs
	Restart  Do = "restart" // start an agent anew, by a way
)

func does() []Do { return []Do{BesideIt, Switch, End, Reload, Restart} }

// Step is one of a rollout.
type Step struct {
	Do     Do      `json:"do"`
	Bundle string  `json:"bundle"` // which; a part of the file without .yaml
	Agent  int     `json:"agent"`  // which, from 1
	By     lab.Way `json:"by"`     // how it comes back
	// Reconnects says that agents are meant to connect anew: kas itself is
	// another one.
	Reconnects bool `json:"reconnects"`
}

// String is the step for people.
func (s Step) String() string {
	if s.Do == Restart {
		return fmt.Sprintf("%s agent %d by %s", s.Do, s.Agent, s.By)
	}
	return fmt.Sprintf("%s %s", s.Do, s.Bundle)
}

// Settings are the file's rollout.yaml.
type Settings struct {
	Title  string    `json:"title"`
	Start  string    `json:"start"`  // the bundle that runs at first
	Agents []lab.Way `json:"agents"` // how each comes at first
	Steps  []Step    `json:"steps"`
}

// Rollout is one file.
type Rollout struct {
	Name string // of the file, without its ending
	Text string // for people
	Settings
	Specs map[string][]byte // kasgen.yaml by name
}

// Finding codes of rollout files.
const (
	codePart = "KAS4103" // a bundle or an agent that the file has not
	codeStep = "KAS4104" // a step that is none
)

const settingsName = "rollout.yaml"

// Read reads the rollouts in dir of files.
func Read(files fs.FS, dir string) ([]Rollout, error) { return scenario.ReadAll(files, dir, parse) }

func parse(name string, data []byte) (Rollout, diag.Findings) {
	archive := txtar.Parse(data)
	r := Rollout{Name: strings.TrimSuffix(path.Base(name), ".txtar"), Text: strings.TrimSpace(string(archive.Comment)), Specs: map[string][]byte{}}
	var settings []byte
	for _, f := range archive.Files {
		if f.Name == settingsName {
			settings = f.Data
			continue
		}
		r.Specs[strings.TrimSuffix(f.Name, ".yaml")] = f.Data
	}
	_, faults := strictyaml.Decode(name+":"+settingsName, settings, &r.Settings)
	if len(faults) > 0 {
		return r, faults
	}
	add := func(code, field, what, why, fix string) {
		faults.Add(diag.Finding{Code: code, Pos: diag.Pos{File: name}, Field: field, What: what, Why: why, Fix: fix})
	}
	bundle := func(field, bundle string) {
		if _, ok := r.Specs[bundle]; !ok {
			add(codePart, field, fmt.Sprintf("the file has no part %q", bundle+".yaml"), "a bundle is rendered from a part of the file", "add the part, or name another one")
		}
	}
	way := func(field string, w lab.Way) {
		if w != lab.WSS && w != lab.GRPCS {
			add(codeStep, field, fmt.Sprintf("an agent cannot come by %q", w), "agents reach kas by WebSocket or by gRPC", "write wss or grpcs")
		}
	}
	bundle("start", r.Start)
	for i, w := range r.Agents {
		way(fmt.Sprintf("agents[%d]", i), w)
	}
	for i, s := range r.Steps {
		field := fmt.Sprintf("steps[%d]", i)
		switch {
		case !slices.Contains(does(), s.Do):
			add(codeStep, field, fmt.Sprintf("%q is no step", s.Do), "nothing would be done", fmt.Sprintf("write one of %v", does()))
		case s.Do != Restart:
			bundle(field, s.Bundle)
		case s.Agent < 1 || s.Agent > len(r.Agents):
			add(codePart, field, fmt.Sprintf("there is no agent %d", s.Agent), "agents are counted from 1", "add it to agents, or name another one")
		default:
			way(field, s.By)
		}
	}
	return r, faults
}

// Package scenario reads scenario files and runs them: a topology, who stands
// in front of it, and what must come of each kind of traffic. It knows the lab
// and nothing of commands. Its law: what a table shows was seen to happen in
// that run, and what a model of somebody else's balancer had a part in says so.
package scenario

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"

	"kasgen/internal/diag"
	"kasgen/internal/layout"
	"kasgen/internal/strictyaml"
	"kasgen/scenarios/lab/cloud"
)

// Traffic is a column of the table.
type Traffic string

// The kinds of traffic, in the table's order.
const (
	WSS       Traffic = "wss agent"
	GRPCS     Traffic = "grpcs agent"
	Proxy     Traffic = "k8s-proxy"
	SPDY      Traffic = "kubectl SPDY"
	WebSocket Traffic = "kubectl WebSocket"
)

// All are the kinds of traffic.
func All() []Traffic { return []Traffic{WSS, GRPCS, Proxy, SPDY, WebSocket} }

// Outcome is what comes of a kind of traffic.
type Outcome string

// The outcomes.
const (
	Yes        Outcome = "yes"
	No         Outcome = "no"
	Refused    Outcome = "refused"    // no, and the client is told why
	Impossible Outcome = "impossible" // the topology cannot be rendered
)

func outcomes() []Outcome { return []Outcome{Yes, No, Refused, Impossible} }

// Expect is what the file says must come, of those who connect to kas and of
// those who use the Kubernetes API through it.
type Expect struct {
	Agents struct {
		WSS   Outcome `json:"wss"`
		GRPCS Outcome `json:"grpcs"`
	} `json:"agents"`
	Clients struct {
		Proxy     Outcome `json:"k8sProxy"` // get
		SPDY      Outcome `json:"spdy"`     // exec
		WebSocket Outcome `json:"websocket"`
	} `json:"clients"`
}

// Of is what must come of t.
func (e Expect) Of(t Traffic) Outcome {
	return map[Traffic]Outcome{
		WSS: e.Agents.WSS, GRPCS: e.Agents.GRPCS,
		Proxy: e.Clients.Proxy, SPDY: e.Clients.SPDY, WebSocket: e.Clients.WebSocket,
	}[t]
}

// Settings are the file's scenario.yaml.
type Settings struct {
	Title string `json:"title"`
	// Balancer is a model of somebody else's that stands before kas's name;
	// empty: the one that the topology itself has or asks for.
	Balancer string `json:"balancer"`
	// GRPCBalancer is the same for the name for gRPC.
	GRPCBalancer string `json:"grpcBalancer"`
	// Direct has Balancer choose between kas's own listeners by path, with
	// nothing of kasgen's between.
	Direct bool `json:"direct"`
	// OlderCluster has the agents' cluster be from before Kubernetes 1.30: kubectl
	// falls back from WebSocket to SPDY there.
	OlderCluster bool    `json:"olderCluster"`
	Expect       Expect  `json:"expect"`
	Checks       []Check `json:"checks"`
	Code         string  `json:"code"` // of the finding, where the topology is impossible
}

// Scenario is one file.
type Scenario struct {
	Name string // of the file, without its ending
	Text string // for people
	Settings
	Spec  []byte // kasgen.yaml
	Nginx []byte // nginx/nginx.conf in place of the rendered one, a template over the spec; nil: the rendered one
}

// Model is the balancer that the scenario names, nil if none.
func (s Scenario) Model() *cloud.Model { return model(s.Balancer) }

// GRPCModel is the one for the name for gRPC, nil if none.
func (s Scenario) GRPCModel() *cloud.Model { return model(s.GRPCBalancer) }

func model(name string) *cloud.Model {
	if m, ok := cloud.Find(name); ok {
		return &m
	}
	return nil
}

// Marked is the title, with the models that have a part.
func (s Scenario) Marked() string { return marked(s.Title, s.Models()) }

func marked(title string, models []string) string {
	if len(models) == 0 {
		return title
	}
	return title + " [model: " + strings.Join(models, ", ") + "]"
}

// Models are the names of all that have a part in it.
func (s Scenario) Models() []string {
	return slices.DeleteFunc([]string{s.Balancer, s.GRPCBalancer}, func(name string) bool { return name == "" })
}

// Finding codes of scenario files.
const (
	codeParts   = "KAS4101" // a part is missing or unknown
	codeOutcome = "KAS4102" // a value that is none of those that there are
)

// Read reads the scenarios in dir of files.
func Read(files fs.FS, dir string) ([]Scenario, error) { return ReadAll(files, dir, parse) }

// ReadAll has parse read every *.txtar in dir of files, in the order of their
// names, and tells the faults of all of them.
func ReadAll[T any](files fs.FS, dir string, parse func(name string, data []byte) (T, diag.Findings)) ([]T, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []T
	var faults diag.Findings
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		one, found := parse(name, data)
		all, faults = append(all, one), append(faults, found...)
	}
	return all, faults.Err()
}

func parse(name string, data []byte) (Scenario, diag.Findings) {
	s := Scenario{Name: strings.TrimSuffix(path.Base(name), ".txtar")}
	archive := txtar.Parse(data)
	s.Text = strings.TrimSpace(string(archive.Comment))
	var faults diag.Findings
	add := func(code, field, what, why, fix string) {
		faults.Add(diag.Finding{Code: code, Pos: diag.Pos{File: name}, Field: field, What: what, Why: why, Fix: fix})
	}
	parts := map[string][]byte{}
	for _, f := range archive.Files {
		if f.Name != "kasgen.yaml" && f.Name != "scenario.yaml" && f.Name != layout.Web {
			add(codeParts, f.Name, fmt.Sprintf("the part %q is unknown", f.Name), "nothing would be done with it", "a scenario has kasgen.yaml and scenario.yaml, and may have "+layout.Web)
		}
		parts[f.Name] = f.Data
	}
	for _, part := range []string{"kasgen.yaml", "scenario.yaml"} {
		if len(parts[part]) == 0 {
			add(codeParts, part, fmt.Sprintf("the part %q is missing", part), "a scenario has kasgen.yaml and scenario.yaml", "add it")
		}
	}
	s.Spec, s.Nginx = parts["kasgen.yaml"], parts[layout.Web]
	_, found := strictyaml.Decode(name+":scenario.yaml", parts["scenario.yaml"], &s.Settings)
	faults = append(faults, found...)
	for _, t := range All() {
		if len(found) == 0 && !slices.Contains(outcomes(), s.Expect.Of(t)) {
			add(codeOutcome, "expect", fmt.Sprintf("of %s must come %q", t, s.Expect.Of(t)), "every kind of traffic has an outcome", "write yes, no, refused or impossible")
		}
	}
	s.faults(add)
	for field, name := range map[string]string{"balancer": s.Balancer, "grpcBalancer": s.GRPCBalancer} {
		if name != "" && model(name) == nil {
			add(codeOutcome, field, fmt.Sprintf("there is no balancer %q", name), "models have names", "write one of "+strings.Join(cloud.Names(), ", "))
		}
	}
	return s, faults
}

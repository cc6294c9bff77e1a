package cost

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strings"
)

// Listener is an address that does not stay as it is.
type Listener struct {
	Kind   Kind   `json:"kind"`
	File   string `json:"file"`
	Owner  string `json:"owner"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	ToFile string `json:"toFile,omitempty"` // of one that another program takes over
}

// Kind is what happens to a listener, a name or a certificate.
type Kind string

// The kinds.
const (
	Moves      Kind = "moves"
	Appears    Kind = "appears"
	Disappears Kind = "disappears"
	Passes     Kind = "passes"  // to another program
	Changes    Kind = "changes" // of a certificate
)

// placed is a listener with its file.
type placed struct {
	file string
	listener
}

// listeners compares what is opened. An address belongs to a file, whichever
// of its sections opens it.
func listeners(old, fresh map[string]*facts) []Listener {
	gone, come := opened(old), opened(fresh)
	both := func(match func(a, b placed) bool, found func(a, b placed)) {
		for _, a := range slices.Clone(gone) {
			i := slices.IndexFunc(come, func(b placed) bool { return match(a, b) })
			if i < 0 {
				continue
			}
			found(a, come[i])
			come = slices.Delete(come, i, i+1)
			gone = slices.Delete(gone, slices.Index(gone, a), slices.Index(gone, a)+1)
		}
	}
	list := []Listener{}
	both(func(a, b placed) bool { return a.file == b.file && a.address == b.address }, func(placed, placed) {})
	both(func(a, b placed) bool { return a.address == b.address }, func(a, b placed) {
		list = append(list, Listener{Kind: Passes, File: a.file, Owner: a.owner, From: a.address, To: b.address, ToFile: b.file})
	})
	both(func(a, b placed) bool { return a.file == b.file && a.owner == b.owner }, func(a, b placed) {
		list = append(list, Listener{Kind: Moves, File: a.file, Owner: a.owner, From: a.address, To: b.address})
	})
	for _, a := range gone {
		list = append(list, Listener{Kind: Disappears, File: a.file, Owner: a.owner, From: a.address})
	}
	for _, b := range come {
		list = append(list, Listener{Kind: Appears, File: b.file, Owner: b.owner, To: b.address})
	}
	slices.SortStableFunc(list, func(a, b Listener) int { return cmp.Compare(a.File, b.File) })
	return list
}

// opened lists each address of each file once.
func opened(all map[string]*facts) []placed {
	var list []placed
	for _, file := range slices.Sorted(maps.Keys(all)) {
		seen := map[string]bool{}
		for _, l := range all[file].listen {
			if !seen[l.address] {
				seen[l.address] = true
				list = append(list, placed{file: file, listener: l})
			}
		}
	}
	return list
}

// overlap says whether one of two addresses is every address of the port of
// the other. No host is every address of both families, as in edge.yaml.
func overlap(a, b string) bool {
	aHost, aPort, errA := net.SplitHostPort(a)
	bHost, bPort, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || aPort != bPort || aHost == bHost {
		return false
	}
	if aHost == "" || bHost == "" {
		return true
	}
	every := func(host string) bool { return host == "0.0.0.0" || host == "::" }
	return strings.Contains(aHost, ":") == strings.Contains(bHost, ":") && every(aHost) != every(bHost)
}

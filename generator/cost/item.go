package cost

import (
	"maps"
	"slices"
	"strings"
)

// Name is a host name that begins or ends to be served.
type Name struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"` // appears or disappears
}

func names(old, fresh map[string]*facts) []Name {
	collect := func(all map[string]*facts) map[string]bool {
		set := map[string]bool{}
		for _, f := range all {
			for _, name := range f.names {
				set[strings.ToLower(name)] = true
			}
		}
		return set
	}
	before, after := collect(old), collect(fresh)
	list := []Name{}
	for _, name := range union(before, after) {
		switch {
		case !before[name]:
			list = append(list, Name{name, Appears})
		case !after[name]:
			list = append(list, Name{name, Disappears})
		}
	}
	return list
}

// Certificate is a file of a certificate or key that a program begins or ends
// to load, or that is to hold other names.
type Certificate struct {
	File  string   `json:"file"` // of the bundle
	Path  string   `json:"path"` // of the certificate or key
	Kind  Kind     `json:"kind"` // appears, disappears or changes
	Names []string `json:"names,omitempty"`
}

func certificates(old, fresh map[string]*facts) []Certificate {
	list := []Certificate{}
	for _, file := range union(old, fresh) {
		var before, after []string
		if f := old[file]; f != nil {
			before = f.certs
		}
		if f := fresh[file]; f != nil {
			after = f.certs
		}
		for _, path := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, after)))) {
			switch {
			case !slices.Contains(before, path):
				list = append(list, Certificate{File: file, Path: path, Kind: Appears})
			case !slices.Contains(after, path):
				list = append(list, Certificate{File: file, Path: path, Kind: Disappears})
			}
		}
	}
	return list
}

// union is the keys of both maps, sorted.
func union[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

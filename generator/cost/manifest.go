package cost

import (
	"slices"

	"kasgen/internal/lockfile"
)

const manifest = lockfile.Name

// Traffic is a kind of traffic that fares otherwise than before.
type Traffic struct {
	Kind string          `json:"kind"`
	From lockfile.Answer `json:"from"`
	To   lockfile.Answer `json:"to"`
}

// traffic compares what the manifests promise. Where one is missing, or of a
// version that promised nothing, there is nothing to compare.
func traffic(before, after map[string][]byte) []Traffic {
	list := []Traffic{}
	old, fresh := readManifest(before), readManifest(after)
	if old == nil || fresh == nil || old.Carries == nil || fresh.Carries == nil {
		return list
	}
	for _, t := range []Traffic{
		{"agents by WebSocket", old.Carries.Agents.WSS, fresh.Carries.Agents.WSS},
		{"agents by gRPC", old.Carries.Agents.GRPCS, fresh.Carries.Agents.GRPCS},
		{"kubectl by SPDY", old.Carries.Kubectl.SPDY, fresh.Carries.Kubectl.SPDY},
		{"kubectl by WebSocket", old.Carries.Kubectl.WebSocket, fresh.Carries.Kubectl.WebSocket},
	} {
		if t.From != t.To {
			list = append(list, t)
		}
	}
	return list
}

// renamed lists certificates for development that are to hold other names.
func renamed(before, after map[string][]byte) []Certificate {
	old, fresh := readManifest(before), readManifest(after)
	if old == nil || fresh == nil {
		return nil
	}
	var list []Certificate
	for _, d := range fresh.Development {
		for _, was := range old.Development {
			if was.Path == d.Path && !slices.Equal(was.Names, d.Names) {
				list = append(list, Certificate{File: manifest, Path: d.Path, Kind: Changes, Names: d.Names})
			}
		}
	}
	return list
}

// readManifest is a manifest, or nil: that one cannot be read is a finding of the
// comparison.
func readManifest(files map[string][]byte) *lockfile.File {
	data, ok := files[manifest]
	if !ok {
		return nil
	}
	m, err := lockfile.Read(manifest, data)
	if err != nil {
		return nil
	}
	return m
}

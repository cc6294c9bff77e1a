// Package inventory knows which keys GitLab's Helm chart has, by the chart's
// version, as far as they have to do with kas. It renders nothing and knows no
// topology. Its law: a key that it does not have is one that the chart would
// take in silence and do nothing about.
package inventory

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed keys.yaml
var data []byte

// Version is the chart's, as far as its keys depend on it.
type Version struct{ Major, Minor int }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before says whether v is older than w.
func (v Version) Before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// Known are the versions whose keys are here; Verified says of which they were
// seen to work.
func Known() []Version { return []Version{{9, 1}, {9, 9}, {10, 4}} }

// Verified says whether the keys of a version were seen in manifests.
func (v Version) Verified() bool { return v.Major < 10 && slices.Contains(Known(), v) }

var form = regexp.MustCompile(`^v?(\d{1,3})\.(\d{1,3})(?:\.\d+)?(?:[-+].*)?$`)

// ParseVersion reads 9.9, 9.9.1 or v9.9.1.
func ParseVersion(text string) (Version, error) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q is no version of the chart: write it like 9.9", text)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Version{}, err
	}
	minor, err := strconv.Atoi(m[2])
	return Version{major, minor}, err
}

// Key is one of the chart's values.
type Key struct {
	Path       string `json:"path"` // dotted
	Default    any    `json:"default"`
	Since      string `json:"since"` // the chart's version; empty: always
	Until      string `json:"until"` // the last one; empty: still
	Open       bool   `json:"open"`  // any key may stand below it
	Unverified bool   `json:"unverified"`
	Note       string `json:"note"` // for people
}

// Keys are those of one version.
type Keys struct {
	Version Version
	list    []Key
}

// Of are the keys of a version, which must be a known one.
func Of(v Version) (Keys, error) {
	if !slices.Contains(Known(), v) {
		return Keys{}, fmt.Errorf("the keys of chart %s are not known: those of %s are; for another one give the chart itself", v, known())
	}
	var all []Key
	if err := yaml.UnmarshalStrict(data, &all); err != nil {
		return Keys{}, fmt.Errorf("inventory: %w", err)
	}
	k := Keys{Version: v}
	for _, key := range all {
		since, until := Version{}, Version{1 << 30, 0}
		var err error
		if key.Since != "" {
			since, err = ParseVersion(key.Since)
		}
		if err == nil && key.Until != "" {
			until, err = ParseVersion(key.Until)
		}
		if err != nil {
			return Keys{}, fmt.Errorf("inventory: %s: %w", key.Path, err)
		}
		if !v.Before(since) && !until.Before(v) {
			k.list = append(k.list, key)
		}
	}
	return k, nil
}

// From are the keys of a version that is not a known one: of all that are here,
// those which the chart has. Of a key with several lives, the last one counts.
func From(v Version, has func(path string) bool) (Keys, error) {
	if slices.Contains(Known(), v) {
		return Of(v)
	}
	var all []Key
	if err := yaml.UnmarshalStrict(data, &all); err != nil {
		return Keys{}, fmt.Errorf("inventory: %w", err)
	}
	k := Keys{Version: v}
	for _, key := range all {
		if has(key.Path) {
			k.list = slices.DeleteFunc(k.list, func(other Key) bool { return other.Path == key.Path })
			key.Unverified = true
			k.list = append(k.list, key)
		}
	}
	return k, nil
}

func known() string {
	var all []string
	for _, v := range Known() {
		all = append(all, v.String())
	}
	return strings.Join(all, ", ")
}

// Find is the key that takes a value at path: itself, or an open one above it.
func (k Keys) Find(path string) (Key, bool) {
	for _, key := range k.list {
		if key.Path == path || key.Open && strings.HasPrefix(path, key.Path+".") {
			return key, true
		}
	}
	return Key{}, false
}

// Paths are all keys, in the order of the inventory.
func (k Keys) Paths() []string {
	var all []string
	for _, key := range k.list {
		all = append(all, key.Path)
	}
	return all
}

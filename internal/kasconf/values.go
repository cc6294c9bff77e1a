package kasconf

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/strictyaml"
)

// Duration is written as protobuf's JSON form writes it: seconds with an "s",
// "300s" or "0.5s"; "5m" is not a duration here.
type Duration time.Duration

var protoDuration = regexp.MustCompile(`^([-+]?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s$`)

// Or is d, or def where d is unset.
func (d *Duration) Or(def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return time.Duration(*d)
}

// MarshalText writes d as protobuf's JSON form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	sign, ns := "", time.Duration(d)
	if d < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%09d", sign, ns/time.Second, ns%time.Second)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + "s"
}

// UnmarshalText reads protobuf's JSON form. What does not fit in a
// time.Duration, 292 years, is cut to it, as protobuf's AsDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	m := protoDuration.FindStringSubmatch(string(text))
	if m == nil {
		fix := `write seconds with an s, such as "300s"`
		if meant, err := time.ParseDuration(string(text)); err == nil {
			fix = fmt.Sprintf("write %q", Duration(meant))
		} else if _, err := strconv.ParseUint(string(text), 10, 32); err == nil {
			fix = fmt.Sprintf("write %q", string(text)+"s")
		}
		return &strictyaml.ValueError{What: `a duration is a number of seconds with an s`, Why: "GitLab's kas accepts no other unit (protobuf's JSON form)", Fix: fix}
	}
	seconds, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return err // cannot be: twelve digits
	}
	ns, err := strconv.ParseInt((m[3] + "000000000")[:9], 10, 64)
	if err != nil {
		return err // cannot be: nine digits
	}
	if seconds >= math.MaxInt64/int64(time.Second) {
		seconds, ns = 0, math.MaxInt64
	}
	v := seconds*1e9 + ns
	if m[1] == "-" {
		v = -v
	}
	*d = Duration(v)
	return nil
}

// LogLevel is info, debug, warn or error.
type LogLevel string

// logLevels are the levels at their numbers in kas's enumeration.
func logLevels() []LogLevel { return []LogLevel{"info", "debug", "warn", "error"} }

// UnmarshalJSON reads a level by name or, as protobuf's JSON form allows, by
// number.
func (l *LogLevel) UnmarshalJSON(text []byte) error {
	var name string
	if json.Unmarshal(text, &name) == nil && slices.Contains(logLevels(), LogLevel(name)) {
		*l = LogLevel(name)
		return nil
	}
	var number int
	if json.Unmarshal(text, &number) == nil && number >= 0 && number < len(logLevels()) {
		*l = logLevels()[number]
		return nil
	}
	return &strictyaml.ValueError{What: "a level is info, debug, warn or error", Fix: "write one of them"}
}

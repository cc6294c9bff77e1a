package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	kasgenruntime "kasgen/runtime"
)

// Trial is something that a scenario does beside what the columns ask: more
// than a limit of the front lets pass.
type Trial string

// The trials.
const (
	Body    Trial = "body"    // a request of 2 MiB to the Kubernetes API
	Stream  Trial = "stream"  // 2 MiB in one gRPC stream of an agent
	Silence Trial = "silence" // in a gRPC stream of an agent
)

// says is what a trial does, for people.
func (t Trial) says() string {
	return map[Trial]string{
		Body:    "kubectl posts 2 MiB",
		Stream:  "an agent sends 2 MiB by one gRPC stream",
		Silence: "an agent's gRPC stream is silent for " + silence.String(),
	}[t]
}

// Verdict is what comes of a trial.
type Verdict string

// The verdicts.
const (
	Passes   Verdict = "passes"
	TooLarge Verdict = "413"
	Reset    Verdict = "reset"  // while it sends
	Cut      Verdict = "cut"    // while it is silent, at the limit
	Failed   Verdict = "failed" // in another way; nothing expects it
)

// Check is a trial of a scenario and what must come of it.
type Check struct {
	Try    Trial   `json:"try"`
	Expect Verdict `json:"expect"`
	// Shortened is a limit of nginx's and what it is for this trial instead of
	// its default of 60 s, as in "grpc_read_timeout 1s", so that nobody waits a
	// minute. It stands in http{}, where a default would apply: a vhost that
	// states the same limit overrules it.
	Shortened string `json:"shortened"`
}

// Checked is what came of a check.
type Checked struct {
	Scenario  string                 `json:"scenario"`
	Title     string                 `json:"title"`
	Try       Trial                  `json:"try"`
	Does      string                 `json:"does"`
	Shortened string                 `json:"shortened"`
	Want      Verdict                `json:"want"`
	Got       Verdict                `json:"got"`
	Pass      bool                   `json:"pass"` // Got is Want
	Front     kasgenruntime.Programs `json:"front"`
	Models    []string               `json:"models"`
	Reason    string                 `json:"reason"` // why not passes
}

// shortenable are the limits of nginx's for silence in a gRPC stream; each is
// 60 s where nobody states it.
func shortenable() []string {
	return []string{"client_body_timeout", "grpc_read_timeout", "grpc_send_timeout"}
}

// limit is the time that Shortened has.
func (c Check) limit() (time.Duration, error) {
	name, value, _ := strings.Cut(c.Shortened, " ")
	if !slices.Contains(shortenable(), name) {
		return 0, fmt.Errorf("%q is not one of %s", name, strings.Join(shortenable(), ", "))
	}
	d, err := time.ParseDuration(value)
	if err == nil && (d <= 0 || d > silence/2) {
		err = fmt.Errorf("%s is no time that half of %s is enough to see", value, silence)
	}
	return d, err
}

// faults are what is wrong with the checks of a file.
func (s Scenario) faults(add func(code, field, what, why, fix string)) {
	verdicts := map[Trial]Verdict{Body: TooLarge, Stream: Reset, Silence: Cut}
	for i, c := range s.Checks {
		field := fmt.Sprintf("checks[%d]", i)
		bad, ok := verdicts[c.Try]
		if !ok {
			add(codeOutcome, field+".try", fmt.Sprintf("there is no trial %q", c.Try), "nothing would be tried", "write body, stream or silence")
			continue
		}
		if c.Expect != Passes && c.Expect != bad {
			add(codeOutcome, field+".expect", fmt.Sprintf("of %s must come %q", c.Try, c.Expect), "every trial has its outcomes", fmt.Sprintf("write %s or %q", Passes, string(bad)))
		}
		if _, err := c.limit(); c.Try == Silence && err != nil {
			add(codeOutcome, field+".shortened", fmt.Sprintf("the limit %q cannot be shortened: %v", c.Shortened, err), "silence is tried against a limit shorter than its default of 60 s", "write one like grpc_read_timeout 1s")
		}
		if c.Try != Silence && c.Shortened != "" {
			add(codeOutcome, field+".shortened", fmt.Sprintf("%q is shortened for %s", c.Shortened, c.Try), "only silence is measured in time", "remove it")
		}
		if c.Try == Silence && (s.Balancer != "" || s.GRPCBalancer != "" || s.Direct) {
			add(codeOutcome, field, "silence is tried behind a model", "the limit would be the model's, not nginx's", "remove one of the two")
		}
	}
}

// named is a check's short name.
func (c Checked) named() string {
	name, _, _ := strings.Cut(c.Shortened, " ")
	return strings.TrimSuffix(string(c.Try)+" by "+name, " by ")
}

// marked names the trial and what was shortened for it.
func (c Checked) marked() string {
	if c.Shortened == "" {
		return c.Does
	}
	name, value, _ := strings.Cut(c.Shortened, " ")
	return fmt.Sprintf("%s (%s shortened from 60s to %s)", c.Does, name, value)
}

// checked is a check of which nothing is known yet.
func (s Scenario) checked(c Check, front kasgenruntime.Programs) Checked {
	return Checked{Scenario: s.Name, Title: s.Title, Try: c.Try, Does: c.Try.says(), Shortened: c.Shortened, Want: c.Expect, Got: Failed,
		Front: front, Models: append([]string{}, s.Models()...)}
}

package certs

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"kasgen/internal/diag"
)

// How often a process that runs looks at its certificates, and how often it
// says again what it has found: whoever reads a day of its log comes upon it.
const (
	tellLook  = time.Minute
	tellAgain = 24 * time.Hour
)

// Tell logs what Findings finds, with its code, until ctx is done: when it is
// new or another than before, once a day as long as it stays, and when it is
// gone.
func Tell(ctx context.Context, log *slog.Logger, status func() []Status) {
	t := teller{log: log, told: map[finding]told{}}
	// What is not there at the start may be on its way: a CA takes seconds.
	t.tell(ctx, slices.DeleteFunc(status(), func(s Status) bool { return s.NotAfter.IsZero() }))
	tick := time.NewTicker(tellLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.tell(ctx, status())
		}
	}
}

type teller struct {
	log  *slog.Logger
	told map[finding]told
}

type finding struct{ certificate, code string }

type told struct {
	severity diag.Severity
	at       time.Time
}

func (t *teller) tell(ctx context.Context, all []Status) {
	now := time.Now()
	there, certificates := map[finding]bool{}, map[string]bool{}
	for _, f := range Findings(all, now) {
		of := finding{f.Field, f.Code}
		there[of], certificates[f.Field] = true, true
		if last, known := t.told[of]; known && last.severity == f.Severity && now.Sub(last.at) < tellAgain {
			continue
		}
		t.told[of] = told{f.Severity, now}
		level := slog.LevelWarn
		if f.Severity == diag.Error {
			level = slog.LevelError
		}
		t.log.Log(ctx, level, "found about a certificate", "code", f.Code, "certificate", f.Field, "what", f.What, "why", f.Why, "fix", f.Fix)
	}
	for of := range t.told {
		if there[of] {
			continue
		}
		delete(t.told, of)
		if !certificates[of.certificate] { // else another thing is wrong with it
			t.log.Info("what was found about a certificate is settled", "code", of.code, "certificate", of.certificate)
		}
	}
}

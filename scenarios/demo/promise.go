package demo

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/scenarios/operation"
)

// Promise is what a topology carries, by transport: Pass, Refused with an
// answer that says what to do, or Fail, where nothing in the topology can
// answer. A transport that is not in it passes.
type Promise map[string]Result

// Promised is what a bundle says of its upgrades.
func Promised(c lockfile.Carries) Promise {
	result := map[lockfile.Answer]Result{lockfile.Yes: Pass, lockfile.Refused: Refused, lockfile.No: Fail}
	return Promise{string(operation.SPDY): result[c.Kubectl.SPDY], string(operation.WebSocket): result[c.Kubectl.WebSocket]}
}

// of is what a cell must come to.
func (p Promise) of(c Cell) Result {
	if r, ok := p[c.Transport]; ok {
		return r
	}
	return Pass
}

// adviceLimit is how soon a refusal must come. A client that waits longer
// looks as if it hung.
const adviceLimit = 5 * time.Second

// advised says whether err is the clear answer to a transport that a topology
// does not carry: it names the kubectl that would do.
func advised(err error, took time.Duration) bool {
	return err != nil && took < adviceLimit && strings.Contains(err.Error(), "kubectl 1.31")
}

// errCells says that not every cell is as promised.
var errCells = errors.New("not every cell is as the topology promises")

// Judge says whether the cells are what the topology promises: all of them,
// and each with the result that it must have.
func Judge(cells []Cell, p Promise, agents int) error {
	if want := Count(agents); len(cells) != want {
		return fmt.Errorf("%w: %d cells, not %d", errCells, len(cells), want)
	}
	for _, c := range cells {
		if want := p.of(c); c.Result != want {
			return fmt.Errorf("%w: %s through the %s agent over %s is %s, not %s", errCells, c.Operation, c.Agent, c.Transport, c.Result, want)
		}
	}
	return nil
}

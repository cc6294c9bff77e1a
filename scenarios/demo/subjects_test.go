package demo

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	cells := []Cell{
		{Operation: "exec", Agent: "wss", Transport: "SPDY", Result: Refused},
		{Operation: "exec", Agent: "wss", Transport: "WebSocket", Result: Fail, Reason: "no answer"},
		{Operation: "get", Agent: "wss", Transport: "HTTP", Result: Pass},
		{Operation: "logs", Agent: "wss", Transport: "HTTP", Result: Skip, Reason: "no pod"},
	}
	want := []diag.Subject{
		{Name: "exec through the wss agent over SPDY"},
		{Name: "exec through the wss agent over WebSocket", Failure: &diag.Failure{Kind: "fail", Text: "fail, not pass: no answer"}},
		{Name: "get through the wss agent over HTTP"},
		{Name: "logs through the wss agent over HTTP", Skipped: "no pod"},
		{Name: "every cell", Failure: &diag.Failure{Kind: "missing", Text: "4 cells, not 32"}},
	}
	if d := cmp.Diff(want, Subjects(cells, Promise{"SPDY": Refused}, 2)); d != "" {
		t.Error(d)
	}
}

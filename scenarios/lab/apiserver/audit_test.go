package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadAudit(t *testing.T) {
	t.Parallel()
	const log = `{"auditID":"1","stage":"ResponseStarted","requestURI":"/api/v1/x?watch=1","verb":"watch","user":{"username":"agent"},"userAgent":"a-1/v1","responseStatus":{"code":200}}
{"auditID":"2","stage":"ResponseStarted","requestURI":"/exec","verb":"create","user":{"username":"agent"},"impersonatedUser":{"username":"job","groups":["g"],"extra":{"k":["v"]}},"userAgent":"a-2/v1","responseStatus":{"code":101}}
{"auditID":"3","stage":"ResponseComplete","requestURI":"/other","verb":"get","user":{"username":"agent"},"userAgent":"b/v1","responseStatus":{"code":403}}
{"auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/x?watch=1","verb":"watch","user":{"username":"agent"},"userAgent":"a-1/v1","responseStatus":{"code":200}}
{"auditID":"4","stage":"Respo`
	got, err := readAudit([]byte(log), "a-")
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{
		{UserAgent: "a-1/v1", Verb: "watch", Path: "/api/v1/x?watch=1", Status: 200, User: "agent"},
		{UserAgent: "a-2/v1", Verb: "create", Path: "/exec", Status: 101, User: "agent", As: "job", Groups: []string{"g"}, Extra: map[string][]string{"k": {"v"}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got[0].Upgraded() || !got[1].Upgraded() {
		t.Error("the watch was upgraded, or the exec was not")
	}
}

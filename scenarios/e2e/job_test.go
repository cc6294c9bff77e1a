//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/cluster"
)

// job is a CI job that uses an agent.
type job struct {
	world  *world
	server *apiserver.Server
	name   string // its own, for objects and as User-Agent
	config *rest.Config
	client *kubernetes.Clientset
}

// testJobs tries what a job's own identity may and may not do, and what is
// heavy for a way: each of these by every job.
func testJobs(t *testing.T, s *apiserver.Server, worlds []*world) {
	behaviours := []struct {
		name string
		try  func(context.Context, *job) error
	}{
		{"identity", identity}, {"forbidden", forbidden}, {"forbidden exec", forbiddenExec},
		{"server-side apply", serverSideApply}, {"watch with a time limit", limitedWatch}, {"object of 3 MiB", largestObject},
	}
	var pass, fail atomic.Int32
	var work errgroup.Group
	work.SetLimit(atOnce)
	for _, w := range worlds {
		for i, a := range w.Agents {
			for k, b := range behaviours {
				j := &job{world: w, server: s, name: strings.ToLower(fmt.Sprintf("kasgen-job-%s-%s-%s-%d", w.topology, w.front, a.Name, k))}
				j.config = w.RESTConfig(w.Agents[i], j.name)
				work.Go(func() error {
					var err error
					if j.client, err = kubernetes.NewForConfig(j.config); err == nil {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						err = b.try(ctx, j)
					}
					if err != nil {
						fail.Add(1)
						t.Errorf("%s by the %s agent of %s: %v", b.name, a.Name, w.name(), err)
						return nil
					}
					pass.Add(1)
					return nil
				})
			}
		}
	}
	if err := work.Wait(); err != nil {
		t.Error(err)
	}
	fmt.Fprintf(t.Output(), "jobs: %d behaviours x %d topologies x 2 fronts x 2 agents: %d pass, %d fail\n", len(behaviours), len(topologies()), pass.Load(), fail.Load())
}

// identity is what the API server makes of the job: that which kas sends, and
// what every user has.
func identity(ctx context.Context, j *job) error {
	review, err := j.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	u := review.Status.UserInfo
	if d := cmp.Diff([]string{"gitlab:ci_job", jobGroup, "system:authenticated"}, u.Groups); u.Username != jobUser || d != "" {
		return fmt.Errorf("the API server sees %q, %s", u.Username, d)
	}
	if got := u.Extra["agent.gitlab.com/ci_job_id"]; !slices.Equal(got, authenticationv1.ExtraValue{strings.TrimPrefix(jobUser, "gitlab:ci_job:")}) {
		return fmt.Errorf("the API server sees %v", u.Extra)
	}
	return nil
}

// forbidden is that RBAC decides, by namespace, and that its own answer comes
// back.
func forbidden(ctx context.Context, j *job) error {
	if _, err := j.client.CoreV1().Pods(cluster.Namespace).Get(ctx, cluster.Pod, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("where it is permitted: %w", err)
	}
	_, err := j.client.CoreV1().Pods(elsewhere).List(ctx, metav1.ListOptions{})
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return fmt.Errorf("where it is forbidden: %w", err)
	}
	want := metav1.Status{Status: metav1.StatusFailure, Code: 403, Reason: metav1.StatusReasonForbidden, Details: &metav1.StatusDetails{Kind: "pods"},
		Message: fmt.Sprintf(`pods is forbidden: User %q cannot list resource "pods" in API group "" in the namespace %q`, jobUser, elsewhere)}
	if d := cmp.Diff(want, status.Status()); d != "" {
		return errors.New(d)
	}
	return nil
}

// forbiddenExec is the same where a connection would have been upgraded.
func forbiddenExec(ctx context.Context, j *job) error {
	url := j.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(elsewhere).Name("nobody").SubResource("exec").
		Param("command", "true").Param("stdout", "true").URL()
	spdyExec, err := remotecommand.NewSPDYExecutor(j.config, "POST", url)
	if err != nil {
		return err
	}
	webSocketExec, err := remotecommand.NewWebSocketExecutor(j.config, "GET", url.String())
	if err != nil {
		return err
	}
	for _, e := range []struct {
		transport
		remotecommand.Executor
	}{{spdy(), spdyExec}, {webSocket(), webSocketExec}} {
		want := fmt.Sprintf("User %q cannot %s resource \"pods/exec\" in API group \"\" in the namespace %q", jobUser, e.verb, elsewhere)
		if promised(j.world, e.transport) == demo.Refused {
			want = advice
		}
		err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: new(bytes.Buffer)})
		if err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("exec over %s: %w, want one with %q", e.name, err, want)
		}
	}
	return nil
}

// serverSideApply is applied by one, and another meets the conflict.
func serverSideApply(ctx context.Context, j *job) error {
	maps := j.client.CoreV1().ConfigMaps(cluster.Namespace)
	apply := func(manager, value string) (*corev1.ConfigMap, error) {
		return maps.Apply(ctx, applycorev1.ConfigMap(j.name, cluster.Namespace).WithData(map[string]string{"k": value}), metav1.ApplyOptions{FieldManager: manager})
	}
	for _, value := range []string{"first", "second"} {
		got, err := apply("one", value)
		if err != nil {
			return err
		}
		if got.Data["k"] != value {
			return fmt.Errorf("applied %q, and it is %q", value, got.Data["k"])
		}
	}
	if _, err := apply("another", "third"); !apierrors.IsConflict(err) {
		return fmt.Errorf("another manager's apply: %w, want a conflict", err)
	}
	return nil
}

// limitedWatch hears of a change when it happens, and ends by itself when the
// API server says so. The change is made by somebody else once the API server
// has the watch, and not once its answer has begun: over HTTP/2, nginx keeps
// the head of an answer until there is something of its body.
func limitedWatch(ctx context.Context, j *job) error {
	admin, err := kubernetes.NewForConfig(j.server.RESTConfig())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan error, 1)
	go func() { changed <- changeWhenWatched(ctx, j, admin) }()
	defer func() { cancel(); <-changed }()

	const limit = 5
	seconds := int64(limit)
	began := time.Now()
	w, err := j.client.CoreV1().ConfigMaps(cluster.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + j.name, TimeoutSeconds: &seconds})
	if err != nil {
		return err
	}
	defer w.Stop()
	var kinds []watch.EventType
	for e := range w.ResultChan() {
		if time.Since(began) > limit*time.Second {
			return errors.New("the change was told when the watch ended, and not before")
		}
		kinds = append(kinds, e.Type)
	}
	if took := time.Since(began); took < limit*time.Second || took > 5*limit*time.Second || !slices.Equal(kinds, []watch.EventType{watch.Added}) {
		return fmt.Errorf("%v in %s", kinds, took)
	}
	err = <-changed
	changed <- nil
	return err
}

// changeWhenWatched makes what the job watches for.
func changeWhenWatched(ctx context.Context, j *job, admin kubernetes.Interface) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		asked, err := j.server.Audited(j.name)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(asked, func(r apiserver.Request) bool { return r.Verb == "watch" && r.Status == 200 }) {
			_, err := admin.CoreV1().ConfigMaps(cluster.Namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: j.name}}, metav1.CreateOptions{})
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// requestLimit is the longest body in bytes that the API server takes.
const requestLimit = 3 << 20

// largestObject goes there and back; one that is a byte longer gets the API
// server's own answer. Each character is six bytes on the wire and one in the
// object, which may have no more than 1 MiB.
func largestObject(ctx context.Context, j *job) error {
	const head, tail = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"k":"`, `"}}`
	const wide = `\u003c`
	text := fmt.Sprintf(head, j.name)
	n := (requestLimit - len(text) - len(tail)) / len(wide)
	text += strings.Repeat(wide, n) + tail
	text += strings.Repeat(" ", requestLimit-len(text))
	send := func(body string) error {
		return j.client.CoreV1().RESTClient().Post().Namespace(cluster.Namespace).Resource("configmaps").
			SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(ctx).Error()
	}
	if err := send(text); err != nil {
		return fmt.Errorf("%d bytes: %w", len(text), err)
	}
	maps := j.client.CoreV1().ConfigMaps(cluster.Namespace)
	back, err := maps.Get(ctx, j.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if back.Data["k"] != strings.Repeat("<", n) {
		return fmt.Errorf("%d characters came back of %d, or others", len(back.Data["k"]), n)
	}
	raw, err := j.client.CoreV1().RESTClient().Get().Namespace(cluster.Namespace).Resource("configmaps").Name(j.name).
		SetHeader("Accept", "application/json").SetHeader("Accept-Encoding", "identity").DoRaw(ctx)
	if err != nil {
		return err
	}
	if len(raw) < n*len(wide) {
		return fmt.Errorf("the answer has %d bytes, want at least %d", len(raw), n*len(wide))
	}
	if err := maps.Delete(ctx, j.name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := send(text + " "); !apierrors.IsRequestEntityTooLargeError(err) {
		return fmt.Errorf("%d bytes: %w, want 413", len(text)+1, err)
	}
	asked, err := j.server.Audited(j.name)
	if err != nil {
		return err
	}
	if last := asked[len(asked)-1]; last.Status != 413 || last.As != jobUser {
		return fmt.Errorf("the API server has answered %d to %q last, not 413: somebody else has refused it", last.Status, last.As)
	}
	return nil
}

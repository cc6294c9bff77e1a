package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// bookmarkEvery is about as often as kube-apiserver sends them.
	bookmarkEvery = time.Minute
	// longestWatch is kube-apiserver's --min-request-timeout, without the
	// random part that spreads clients: there is one server here.
	longestWatch = 30 * time.Minute
)

// watch sends what is there, where the client has not seen it, and then each
// change, until its time is over or it leaves.
func (a *apiServer) watch(w http.ResponseWriter, r *http.Request, t target) {
	f, err := wanted(r)
	if err != nil {
		writeStatus(w, err)
		return
	}
	match, err := selected(r, t)
	if err != nil {
		writeStatus(w, err)
		return
	}
	limit, err := watchLimit(r)
	if err != nil {
		writeStatus(w, err)
		return
	}
	version, fresh, err := watchFrom(r)
	if err != nil {
		writeStatus(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()

	out := eventWriter{a: a, w: w, form: f, target: t, encoder: json.NewEncoder(w), flush: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/json;stream=watch")
	w.Header().Set("Cache-Control", "no-cache, private")
	w.WriteHeader(http.StatusOK)
	if out.flush.Flush() != nil {
		return
	}
	bookmarks := isTrue(r, "allowWatchBookmarks")
	if fresh {
		var objects []object
		objects, version = a.store.list(t.resource, t.namespace)
		for _, o := range objects {
			if match.matches(o) && out.send(watch.Added, o) != nil {
				return
			}
		}
		if bookmarks && isTrue(r, "sendInitialEvents") && out.bookmark(version, true) != nil {
			return
		}
	}
	a.follow(ctx, &out, match, version, bookmarks)
}

func (a *apiServer) follow(ctx context.Context, out *eventWriter, match selector, version int64, bookmarks bool) {
	ticker := time.NewTicker(bookmarkEvery)
	defer ticker.Stop()
	for {
		changes, now, wake, err := a.store.since(version)
		if err != nil {
			_ = out.sendError(err)
			return
		}
		version = now
		for _, c := range changes {
			if c.resource != out.target.resource || out.target.namespace != "" && c.object.GetNamespace() != out.target.namespace {
				continue
			}
			if kind, ok := match.seen(c); ok && out.send(kind, c.object) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			// A last bookmark lets the client go on from here.
			if bookmarks && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				_ = out.bookmark(version, false)
			}
			return
		case <-wake:
		case <-ticker.C:
			if bookmarks && out.bookmark(version, false) != nil {
				return
			}
		}
	}
}

// seen is what a change is to who sees only what matches.
func (s selector) seen(c change) (watch.EventType, bool) {
	was := c.before != nil && s.matches(c.before)
	is := c.kind != watch.Deleted && s.matches(c.object)
	switch {
	case was && is:
		return watch.Modified, true
	case is:
		return watch.Added, true
	case was:
		return watch.Deleted, true
	}
	return "", false
}

func watchLimit(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("timeoutSeconds")
	if text == "" {
		return longestWatch, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds < 0 {
		return 0, apierrors.NewBadRequest("timeoutSeconds: not a number of seconds: " + text)
	}
	if seconds == 0 {
		return longestWatch, nil
	}
	return min(time.Duration(seconds)*time.Second, longestWatch), nil
}

// watchFrom reads from where changes are wanted; fresh is from the objects
// that are there now.
func watchFrom(r *http.Request) (version int64, fresh bool, err error) {
	text := r.URL.Query().Get("resourceVersion")
	if text == "" || text == "0" || isTrue(r, "sendInitialEvents") {
		return 0, true, nil
	}
	version, err = strconv.ParseInt(text, 10, 64)
	if err != nil || version < 0 {
		return 0, false, apierrors.NewBadRequest("resourceVersion: invalid value: " + text)
	}
	return version, false, nil
}

// eventWriter writes one event a line and sends it off at once.
type eventWriter struct {
	a       *apiServer
	w       http.ResponseWriter
	form    form
	target  target
	encoder *json.Encoder
	flush   *http.ResponseController
}

type eventJSON struct {
	Type   watch.EventType `json:"type"`
	Object any             `json:"object"`
}

func (e *eventWriter) write(kind watch.EventType, object any) error {
	if err := e.encoder.Encode(eventJSON{kind, object}); err != nil {
		return err
	}
	return e.flush.Flush()
}

func (e *eventWriter) send(kind watch.EventType, o object) error {
	if e.form.table {
		return e.write(kind, e.a.table(e.target.resource, []object{o}, o.GetResourceVersion(), e.form.rows))
	}
	return e.write(kind, withKind(o))
}

func (e *eventWriter) sendError(err error) error { return e.write(watch.Error, statusOf(err)) }

// bookmark is an object with nothing but a version in it.
func (e *eventWriter) bookmark(version int64, initial bool) error {
	o := kinds[e.target.resource].empty()
	o.SetResourceVersion(strconv.FormatInt(version, 10))
	if initial {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return e.write(watch.Bookmark, withKind(o))
}

package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kasgen/scenarios/lab/cluster/pod"
)

// logOptions are the query of pods/log.
type logOptions struct {
	follow     bool
	timestamps bool
	tail       int64 // negative: all
	since      time.Time
	limit      int64 // bytes; negative: none
}

func parseLogOptions(r *http.Request, now time.Time) (logOptions, error) {
	q := r.URL.Query()
	o := logOptions{follow: isTrue(r, "follow"), timestamps: isTrue(r, "timestamps"), tail: -1, limit: -1}
	if err := knownContainer(q.Get("container")); err != nil {
		return o, err
	}
	if isTrue(r, "previous") {
		return o, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", Container, Pod))
	}
	number := func(name string, least int64, to *int64) error {
		text := q.Get(name)
		if text == "" {
			return nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least {
			return apierrors.NewBadRequest(fmt.Sprintf("%s: invalid value: %q", name, text))
		}
		*to = n
		return nil
	}
	var seconds int64
	for _, n := range []struct {
		name  string
		least int64
		to    *int64
	}{{"tailLines", 0, &o.tail}, {"limitBytes", 1, &o.limit}, {"sinceSeconds", 1, &seconds}} {
		if err := number(n.name, n.least, n.to); err != nil {
			return o, err
		}
	}
	if seconds > 0 {
		o.since = now.Add(-time.Duration(seconds) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return o, apierrors.NewBadRequest(fmt.Sprintf("sinceTime: invalid value: %q", text))
		}
		o.since = t
	}
	return o, nil
}

// logs sends what the main process has printed, and with follow what it
// prints from now on, a line at a time.
func (a *apiServer) logs(w http.ResponseWriter, r *http.Request) { sendLog(a.pod, w, r) }

func sendLog(p *pod.Pod, w http.ResponseWriter, r *http.Request) {
	o, err := parseLogOptions(r, time.Now())
	if err != nil {
		writeStatus(w, err)
		return
	}
	lines, next := p.Log().Lines()
	for len(lines) > 0 && lines[0].Time.Before(o.since) {
		lines = lines[1:]
	}
	if o.tail >= 0 && int64(len(lines)) > o.tail {
		lines = lines[int64(len(lines))-o.tail:]
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	for {
		for _, line := range lines {
			if !o.write(w, line) {
				return
			}
		}
		if flush.Flush() != nil || !o.follow {
			return
		}
		if lines, next, err = p.Log().Next(r.Context(), next); err != nil {
			return // the client or the container has ended
		}
	}
}

// write reports whether there may be more.
func (o *logOptions) write(w io.Writer, line pod.Line) bool {
	text := line.Text + "\n"
	if o.timestamps {
		text = line.Time.UTC().Format(time.RFC3339Nano) + " " + text
	}
	if o.limit >= 0 {
		text = text[:min(int64(len(text)), o.limit)]
		o.limit -= int64(len(text))
	}
	_, err := io.WriteString(w, text)
	return err == nil && o.limit != 0
}

func knownContainer(name string) error {
	if name == "" || name == Container {
		return nil
	}
	return apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, Pod))
}

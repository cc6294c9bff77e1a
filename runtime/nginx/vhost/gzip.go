package vhost

import (
	"compress/gzip"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// packing is the settings of the gzip module.
type packing struct {
	on, vary bool
	level    int
	least    int64 // bytes
	types    []string
	http10   bool     // HTTP/1.0 clients as well
	proxied  []string // what of an answer allows it where a proxy asks
}

// packs tells whether an answer is compressed, and says so in its header.
// length is -1 where it is not known.
func (q *request) packs(status int, h http.Header, length int64) bool {
	o := &q.settings.gzip
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	switch {
	case !o.on, status != http.StatusOK && status != http.StatusForbidden && status != http.StatusNotFound,
		h.Get("Content-Encoding") != "", length >= 0 && length < o.least,
		!slices.Contains(o.types, "*") && !slices.Contains(o.types, strings.ToLower(strings.TrimSpace(kind))):
		return false
	}
	if o.vary {
		h.Add("Vary", "Accept-Encoding")
	}
	if q.r.ProtoMajor == 1 && q.r.ProtoMinor == 0 && !o.http10 || !accepts(q.r.Header["Accept-Encoding"]) || len(q.r.Header["Via"]) > 0 && !o.allows(q.r, h) {
		return false
	}
	h["Content-Encoding"] = []string{"gzip"}
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges")
	if tag := h.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		h.Set("Etag", "W/"+tag)
	}
	return true
}

// accepts looks for gzip with a weight above zero.
func accepts(values []string) bool {
	if len(values) == 0 {
		return false
	}
	for one := range strings.SplitSeq(values[0], ",") {
		name, weight, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, ok := strings.Cut(strings.ReplaceAll(weight, " ", ""), "q=")
		if !ok {
			return true
		}
		f, err := strconv.ParseFloat(q, 64)
		return err == nil && f > 0
	}
	return false
}

// allows is gzip_proxied, asked in nginx's order: what forbids caching allows
// packing, and so does an answer that says nothing of it.
func (o *packing) allows(r *http.Request, h http.Header) bool {
	on := func(word string) bool { return slices.Contains(o.proxied, word) }
	switch {
	case len(o.proxied) == 0 || on("off"):
		return false
	case on("any"), on("auth") && r.Header.Get("Authorization") != "":
		return true
	}
	if v := h.Get("Expires"); v != "" {
		t, err := http.ParseTime(v)
		return on("expired") && (err != nil || t.Before(time.Now()))
	}
	if v := strings.ToLower(strings.Join(h["Cache-Control"], ",")); v != "" {
		return slices.ContainsFunc([]string{"no-cache", "no-store", "private"}, func(word string) bool { return on(word) && strings.Contains(v, word) })
	}
	return !(on("no_last_modified") && h.Get("Last-Modified") != "" || on("no_etag") && h.Get("Etag") != "")
}

// pack compresses what is written from now on.
func (a *answer) pack(level int) {
	if w, err := gzip.NewWriterLevel(counted{a}, level); err == nil { // levels were checked
		a.packed = w
	}
}

// counted writes compressed bytes.
type counted struct{ a *answer }

func (c counted) Write(p []byte) (int, error) { return c.a.plain(p) }

// FlushError sends what there is.
func (a *answer) FlushError() error {
	if a.packed != nil && a.status > 0 {
		if err := a.packed.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// end ends a body that is whole.
func (a *answer) end() {
	if a.packed != nil && !a.bare {
		_ = a.packed.Close() // a client that has left
	}
}

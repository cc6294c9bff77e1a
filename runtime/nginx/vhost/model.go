package vhost

import (
	"regexp"
	"time"

	"kasgen/internal/diag"
	"kasgen/runtime/certs"
	"kasgen/runtime/nginx/upstream"
)

// Config is an http{} block that can run.
type Config struct {
	sockets []*socket
	files   []string
	pairs   []certs.Served
	roots   []string // files of CAs, for upstreams
	// upstreams and captures are for what is known of each request only.
	upstreams map[string]*upstream.Upstream
	captures  map[string]*variable // of named groups
	drain     time.Duration        // 0: as long as it takes
}

// socket is an address to listen on, with the servers behind it.
type socket struct {
	listen
	servers  []*server // the first is the default one
	names    names
	explicit bool // the default was asked for
}

// server is a server{} block.
type server struct {
	name     string // the first of its names
	names    []serverName
	settings *settings
	program  program
	root     *location // what it says outside of locations
	named    map[string]*location
	http2    bool // by `http2 on`
	pos      diag.Pos
}

// location is a location{} block, or what a server says outside of them.
type location struct {
	name       string
	exact      bool
	noRegex    bool // ^~
	pattern    *regexp.Regexp
	named      bool
	internal   bool
	settings   *settings
	program    program
	pass       *pass // proxy_pass or grpc_pass; nil: files
	inner      level
	pos        diag.Pos
	redirected bool // without its closing slash it is redirected to
}

// level is the locations beside each other in one block.
type level struct {
	exact    map[string]*location
	prefixes []*location // longest first
	patterns []*location // in the file's order
}

// find is ngx_http_core_find_location: the location for a path, from one level
// down. slash tells that the path lacks the closing slash of a location.
func (lv *level) find(q *request, uri string) (found *location, slash bool) {
	if l := lv.exact[uri]; l != nil {
		return l, false
	}
	var best *location
	for _, l := range lv.prefixes {
		if l.redirected && len(l.name) == len(uri)+1 && l.name[:len(uri)] == uri && l.name[len(uri)] == '/' {
			slash = true
		}
		if best == nil && len(uri) >= len(l.name) && uri[:len(l.name)] == l.name {
			best = l
		}
	}
	if l := lv.exact[uri+"/"]; l != nil && l.redirected {
		slash = true
	}
	if slash && (best == nil || best.name != uri) {
		return best, true
	}
	found = best
	if best != nil {
		if deeper, slash := best.inner.find(q, uri); slash || deeper != nil {
			if deeper == nil {
				deeper = best
			}
			if slash || deeper.exact || deeper.pattern != nil {
				return deeper, slash
			}
			found = deeper
		}
	}
	if best != nil && best.noRegex {
		return found, false
	}
	for _, l := range lv.patterns {
		if groups := l.pattern.FindStringSubmatch(uri); groups != nil {
			q.matched(l.pattern, groups)
			if deeper, slash := l.inner.find(q, uri); deeper != nil {
				return deeper, slash
			}
			return l, false
		}
	}
	return found, false
}

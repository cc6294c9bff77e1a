package nginx

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"kasgen/generator/bundle"
	"kasgen/generator/target"
	"kasgen/generator/topology"
)

// web is what the template of nginx.conf places.
type web struct {
	Header                                   string
	PID                                      string
	WorkerConnections, Streams               int
	Drain, Connect, Idle, Request, Keepalive time.Duration
	NamesBucket                              int  // 0: nginx's own
	Upgrades                                 bool // some route upgrades
	Refusal                                  *refusal
	Upstreams                                []upstream
	Redirect                                 *redirect
	Sites                                    []site
	Defaults                                 []site // one for each listener: every other name
	Guest                                           // where the http{} is somebody else's
}

type redirect struct {
	topology.Redirect
	Listen, Default []string
}

type site struct {
	topology.Site
	Listen          []string
	HTTP2Directive  bool
	RejectHandshake bool
	Protocols       string
	RealIPHeader    string // empty: clients' addresses are those of connections
	Upgrades, GRPC  bool   // some route is of that kind
	Routes          []route
}

type route struct {
	topology.Route
	Slash string // what is behind the upstream in proxy_pass
}

// refusal is Web.Refusal as nginx has it: a pattern for the paths, and bodies.
type refusal struct {
	Paths       string
	Other, None string
}

func renderHTTP(t topology.Topology) ([]bundle.File, error) {
	if t.Web == nil {
		return nil, nil
	}
	v, err := webOf(t)
	if err != nil {
		return nil, err
	}
	data, err := target.Execute("nginx/nginx.conf.tmpl", word, v)
	if err != nil {
		return nil, err
	}
	return []bundle.File{{Path: HTTPPath, Data: data}}, nil
}

func webOf(t topology.Topology) (web, error) {
	w := t.Web
	v := web{
		Header: target.Header(t, "nginx"), PID: t.StateDir + "/nginx-http.pid",
		WorkerConnections: 2 * w.MaxConnections, Streams: target.Streams,
		Drain: t.Timeouts.Drain, Connect: t.Timeouts.Connect, Idle: t.Timeouts.Idle,
		Request: t.Timeouts.Header, Keepalive: t.Timeouts.Keepalive,
	}
	if t.Readers.Web {
		v.Drain = 0
	}
	var err error
	if v.Refusal, err = refusalOf(w.Refusal); err != nil {
		return web{}, err
	}
	for _, b := range w.Upstreams {
		u, err := upstreamOf(b)
		if err != nil {
			return web{}, err
		}
		v.Upstreams = append(v.Upstreams, u)
	}
	var names []string
	if r := w.Redirect; r != nil {
		names = slices.Clone(r.Hosts)
		v.Redirect = &redirect{Redirect: *r, Listen: listens(r.Listen, ""), Default: listens(r.Listen, " default_server")}
	}
	for _, s := range w.Sites {
		names = append(names, s.Host)
		v.Sites = append(v.Sites, siteOf(w, s, ""))
		v.Upgrades = v.Upgrades || v.Sites[len(v.Sites)-1].Upgrades
		if !slices.ContainsFunc(v.Defaults, func(d site) bool { return slices.Equal(d.Site.Listen, s.Listen) }) {
			v.Defaults = append(v.Defaults, siteOf(w, s, " default_server"))
		}
	}
	v.NamesBucket = Bucket(names)
	return v, nil
}

func siteOf(w *topology.Web, s topology.Site, option string) site {
	v := site{Site: s, HTTP2Directive: s.HTTP2 && w.HTTP2Directive, RejectHandshake: s.TLS != nil && s.RefuseNames && w.RejectHandshake}
	if s.TLS != nil {
		option += " ssl"
		v.Protocols = protocols(s.TLS)
	}
	if s.HTTP2 && !w.HTTP2Directive {
		option += " http2"
	}
	if s.AcceptProxy {
		option += " proxy_protocol"
	}
	if len(s.Trusted) > 0 {
		v.RealIPHeader = "X-Forwarded-For"
		if s.AcceptProxy {
			v.RealIPHeader = "proxy_protocol"
		}
	}
	v.Listen = listens(s.Listen, option)
	for _, r := range s.Routes {
		one := route{Route: r}
		if r.Strip {
			one.Slash = "/"
		}
		v.GRPC = v.GRPC || r.GRPC
		v.Upgrades = v.Upgrades || r.Status == 0 && !r.GRPC
		v.Routes = append(v.Routes, one)
	}
	return v
}

// listens are listen's arguments. Options of a socket may stand once in a
// configuration only, so that they go with its default server.
func listens(addresses []string, options string) []string {
	if strings.Contains(options, "default_server") {
		options += " so_keepalive=on"
	}
	var list []string
	for _, address := range addresses {
		// nginx sets ipv6only=on by itself.
		list = append(list, address+options)
	}
	return list
}

// refusalOf writes the answers as Kubernetes does, which kubectl prints.
func refusalOf(r *topology.Refusal) (*refusal, error) {
	if r == nil {
		return nil, nil
	}
	v := &refusal{Paths: "^" + regexp.QuoteMeta(r.Prefix) + "/api/v1/namespaces/[^/]+/pods/[^/]+/(?:exec|attach|portforward)"}
	for _, a := range []struct {
		into    *string
		message string
	}{{&v.Other, r.Other}, {&v.None, r.None}} {
		text, err := json.Marshal(struct {
			Kind       string   `json:"kind"`
			APIVersion string   `json:"apiVersion"`
			Metadata   struct{} `json:"metadata"`
			Status     string   `json:"status"`
			Message    string   `json:"message"`
			Reason     string   `json:"reason"`
			Code       int      `json:"code"`
		}{"Status", "v1", struct{}{}, "Failure", a.message, "BadRequest", 400})
		if err != nil {
			return nil, fmt.Errorf("nginx: %w", err)
		}
		if strings.ContainsAny(string(text), "'$") {
			return nil, fmt.Errorf("nginx: a message cannot be written: %s", text)
		}
		*a.into = string(text)
	}
	return v, nil
}

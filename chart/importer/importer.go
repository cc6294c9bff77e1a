// Package importer owns the way back: from values of GitLab's chart, and of the
// extras beside it, to the kasgen.yaml that they come from. It renders nothing.
// Its law: a value that has to do with kas and that a kasgen.yaml cannot say is
// named, never dropped.
package importer

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/commented"
)

// Lost is a value that the description does not keep.
type Lost struct {
	Key string `json:"key"`
	Why string `json:"why"`
	Fix string `json:"fix"`
}

// reading is one description under way.
type reading struct {
	values map[string]any
	taken  map[string]bool
	fields []commented.Field
	lost   []Lost
}

// Describe is the kasgen.yaml of values, merged in the order in which Helm would
// take them; extras are those of the chart beside the release, or nil.
func Describe(values, extras map[string]any) ([]byte, []Lost, error) {
	r := &reading{values: values, taken: map[string]bool{}}
	names := r.names(extras)
	edge := r.edge(extras)
	r.set("", "kasgen/v1", "apiVersion")
	topology, why := r.topology(names, edge, extras)
	r.set(why, topology, "topology")
	r.set("from global.hosts", r.gitlab(), "gitlab", "url")
	r.set(names.why, names.kas, "names", "kas")
	if names.grpc != "" {
		r.set(names.grpcWhy, names.grpc, "names", "grpc")
	}
	r.agents()
	r.timeouts()
	r.balancer(extras)
	r.rest()
	text, err := commented.Write(r.fields)
	return text, r.lost, err
}

func (r *reading) set(why string, value any, path ...string) {
	r.fields = append(r.fields, commented.Field{Path: path, Value: value, Why: why})
}

// at is a value, which is then accounted for.
func (r *reading) at(path string) any {
	r.taken[path] = true
	return get(r.values, path)
}

func (r *reading) text(path string) string {
	s, _ := r.at(path).(string)
	return s
}

func get(tree map[string]any, path string) any {
	var at any = tree
	for key := range strings.SplitSeq(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[key]
	}
	return at
}

// hosts are the names and where they come from.
type hosts struct{ kas, why, grpc, grpcWhy string }

func (r *reading) names(extras map[string]any) hosts {
	var h hosts
	if h.kas, h.why = r.text("global.hosts.kas.name"), "from global.hosts.kas.name"; h.kas == "" {
		h.kas, h.why = "kas"+r.suffix()+"."+r.domain(), "from global.hosts.domain: the chart puts kas before it"
	}
	external := r.text("global.appConfig.gitlab_kas.externalUrl")
	if name, _ := get(extras, "names.grpc").(string); name != "" {
		h.grpc, h.grpcWhy = name, "from the extras' names.grpc"
	} else if u, err := url.Parse(external); err == nil && u.Scheme == "grpcs" && u.Hostname() != h.kas {
		h.grpc, h.grpcWhy = u.Hostname(), "from global.appConfig.gitlab_kas.externalUrl"
	} else if err != nil || external != "" && u.Hostname() != h.kas {
		r.lose("global.appConfig.gitlab_kas.externalUrl", "it is not names.kas", "names.kas is what is advertised; look which of the two is right")
	}
	return h
}

func (r *reading) domain() string {
	if d := r.text("global.hosts.domain"); d != "" {
		return d
	}
	return "example.com"
}

func (r *reading) suffix() string {
	if s := r.text("global.hosts.hostSuffix"); s != "" {
		return "-" + s
	}
	return ""
}

func (r *reading) gitlab() string {
	scheme := "https"
	if on, ok := r.at("global.hosts.https").(bool); ok && !on {
		scheme = "http"
	}
	host := r.text("global.hosts.gitlab.name")
	if host == "" {
		host = "gitlab" + r.suffix() + "." + r.domain()
	}
	return scheme + "://" + host
}

// edge says whether kas's name is not the chart's.
func (r *reading) edge(extras map[string]any) bool {
	if on, ok := get(extras, "edge.enabled").(bool); ok {
		r.at("gitlab.kas.ingress.enabled")
		r.at("gitlab.kas.gatewayRoute.enabled")
		return on
	}
	ingress, told := r.at("gitlab.kas.ingress.enabled").(bool)
	route, routeTold := r.at("gitlab.kas.gatewayRoute.enabled").(bool)
	return told && !ingress && (!routeTold || !route)
}

func (r *reading) topology(h hosts, edge bool, extras map[string]any) (string, string) {
	local, localTold := r.at("gitlab.kas.ingress.grpc.enabled").(bool)
	global, globalTold := r.at("global.kas.ingress.grpc.enabled").(bool)
	switch {
	case edge && h.grpc != "":
		return "B", "the chart's Ingress and route for kas are off, and gRPC has a name of its own"
	case edge && extras == nil:
		r.lose("gitlab.kas.ingress.enabled", "values alone do not say whether gRPC has a name of its own", "give the extras' values too, with --extras; B is written where they name one")
		return "A", "the chart's Ingress and route for kas are off"
	case edge:
		return "A", "the chart's Ingress and route for kas are off"
	case h.grpc != "", localTold && !local || globalTold && !global:
		return "D", "the chart's Ingress has kas's name, and no gRPC"
	default:
		return "packaged", "the chart's Ingress has kas's name"
	}
}

func (r *reading) agents() {
	const local, global = "gitlab.kas.customConfig.agent.listen.websocket", "global.kas.customConfig.agent.listen.websocket"
	from := local
	if all, _ := get(r.values, "global.kas.customConfig").(map[string]any); len(all) > 0 {
		from = global // in place of the other
	}
	if on, ok := r.at(from).(bool); ok && !on {
		r.set("from "+from, "remove", "agents", "websocket")
	}
}

func (r *reading) timeouts() {
	const annotations = "gitlab.kas.ingress.annotations"
	const nginx = "nginx.ingress.kubernetes.io/"
	all, _ := get(r.values, annotations).(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		path := annotations + "." + key
		switch key {
		case nginx + "proxy-read-timeout":
			seconds, err := strconv.Atoi(fmt.Sprint(all[key]))
			if err != nil {
				r.lose(path, "it is no number of seconds", "write timeouts.idle")
				continue
			}
			r.set("from "+path, (time.Duration(seconds) * time.Second).String(), "timeouts", "idle")
		case nginx + "proxy-send-timeout":
			if fmt.Sprint(all[key]) != fmt.Sprint(all[nginx+"proxy-read-timeout"]) {
				r.lose(path, "timeouts.idle is for both directions", "it follows proxy-read-timeout")
			}
		case nginx + "proxy-body-size":
			if fmt.Sprint(all[key]) != "0" {
				r.lose(path, "bodies are never limited by kasgen", "leave the limit out: kubectl cp and gRPC need none")
			}
		default:
			r.lose(path, "annotations are not part of a kasgen.yaml", "keep it in a file of values of your own")
		}
	}
	r.taken[annotations] = true
	const grace = "gitlab.kas.deployment.terminationGracePeriodSeconds"
	if seconds, ok := r.at(grace).(float64); ok && seconds > 300 {
		r.set("from "+grace, (time.Duration(seconds) * time.Second).String(), "timeouts", "drain")
	}
}

// balancer is what the extras say of the Service.
func (r *reading) balancer(extras map[string]any) {
	if on, _ := get(extras, "edge.enabled").(bool); !on {
		return
	}
	r.set("a Service of type LoadBalancer", "external-tcp", "loadBalancer", "kind")
	if header, _ := get(extras, "service.proxyProtocol").(string); header != "" {
		r.set("from the extras' service.proxyProtocol", header, "loadBalancer", "proxyProtocol")
	}
	if tls, _ := get(extras, "service.tls").(string); tls == "terminate" {
		r.set("from the extras' service.tls", tls, "loadBalancer", "tls")
		r.set("", "balancer", "tls", "source")
		if name, _ := get(extras, "names.grpc").(string); name != "" {
			r.set("a balancer of the provider's ends its TLS too", "external-http2", "grpcBalancer", "kind")
		}
	}
	if source, _ := get(extras, "certificate.source").(string); source == "acme" {
		r.set("from the extras' certificate.source", "acme", "tls", "source")
		if name, _ := get(extras, "certificate.secretName").(string); name != "" {
			r.set("", name, "tls", "acme", "cache", "secret", "name")
		}
	}
}

// rest names what has to do with kas and was not looked at.
func (r *reading) rest() {
	// What kasgen writes again whatever it was.
	for _, path := range []string{"global.kas.enabled", "gitlab.kas.service.type", "gitlab.kas.gatewayRoute.timeouts.request", "global.gatewayApi.enabled"} {
		r.taken[path] = true
	}
	if on, ok := get(r.values, "global.kas.enabled").(bool); ok && !on {
		r.lose("global.kas.enabled", "the release has no kas", "values from kasgen switch it on")
	}
	for _, root := range []string{"gitlab.kas", "global.kas", "global.hosts.kas", "global.appConfig.gitlab_kas"} {
		if tree, ok := get(r.values, root).(map[string]any); ok {
			r.leaves(root, tree)
		}
	}
}

func (r *reading) leaves(at string, tree map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		path := at + "." + key
		if r.taken[path] || tree[key] == nil {
			continue
		}
		if below, ok := tree[key].(map[string]any); ok {
			r.leaves(path, below)
			continue
		}
		fix := "keep it in a file of values of your own"
		if strings.HasPrefix(path, "global.kas.tls.") {
			fix = "give the Secret with --kas-tls-secret"
		}
		r.lose(path, "a kasgen.yaml has no field for it", fix)
	}
}

func (r *reading) lose(key, why, fix string) { r.lost = append(r.lost, Lost{key, why, fix}) }

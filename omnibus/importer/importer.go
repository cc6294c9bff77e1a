// Package importer describes in a kasgen.yaml what an Omnibus package runs. It
// reads resolved settings, never gitlab.rb, and asks nobody and changes nothing.
// Its law: what the description does not say the same of is told, with the key
// that says otherwise.
package importer

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// Settings looks up a resolved setting by the keys of gitlab.rb that lead to
// it; nil if it is not there.
type Settings func(key ...string) any

// Lost is something that kasgen.yaml does not say as the instance has it.
type Lost struct {
	Key string `json:"key"` // of gitlab.rb
	Why string `json:"why"`
	Fix string `json:"fix"` // what to write or to do instead
	// Warning: what clients meet, or who gets through, may be another than before.
	Warning bool `json:"warning"`
}

// Description is what came of it.
type Description struct {
	Header string  `json:"-"` // first line of the file; empty: that it is Omnibus's settings
	Fields []Field `json:"-"`
	Lost   []Lost  `json:"lost"`
}

// Field is one of kasgen.yaml, in the order in which they are written.
type Field struct {
	Path  string // dotted
	Value any    // a string, a bool or a []string
	Why   string // the key of gitlab.rb that it is from
}

// Usual places, which kasgen.yaml need not say.
const (
	samePath    = "/-/kubernetes-agent/"
	agentPort   = "127.0.0.1:8150"
	proxyPort   = "127.0.0.1:8154"
	healthPort  = "127.0.0.1:8151"
	railsPort   = "127.0.0.1:8153"
	privatePort = "127.0.0.1:8155"
	usualTLS    = "/etc/gitlab/ssl/"
)

// reading is one description under way.
type reading struct {
	get Settings
	d   Description
	own string // kas's own name; empty: it is on GitLab's
	// letsEncrypt says that Omnibus obtains its certificate.
	letsEncrypt bool
	// custom is kas's vhost where it is somebody's own and not Omnibus's, and grpc
	// one for agents by gRPC alone; nil: there is none.
	custom, grpc *vhost
}

// Describe says what the settings are; files is where nginx's are that they name.
// An error is of an instance of which there is nothing to say.
func Describe(get Settings, files nginxconf.Source) (Description, error) {
	r := &reading{get: get}
	external, key := r.text("external_url"), "external_url"
	if external == "" {
		external, key = r.text("gitlab_rails", "gitlab_url"), "gitlab_rails['gitlab_url']"
	}
	gitlab, err := url.Parse(external)
	if err != nil || gitlab.Host == "" {
		return r.d, fmt.Errorf("external_url is %q: without GitLab's own URL there is no name to describe", external)
	}
	if on, set := r.get("gitlab_kas", "enable").(bool); set && !on {
		return r.d, fmt.Errorf("gitlab_kas['enable'] is false: kas does not run here")
	}
	if kas := r.text("gitlab_kas_external_url"); kas != "" {
		if u, err := url.Parse(kas); err != nil || u.Hostname() == "" {
			return r.d, fmt.Errorf("gitlab_kas_external_url is %q, which is no URL: Omnibus would refuse it", kas)
		}
	}
	r.add("topology", "packaged", "Omnibus's own nginx stands before kas")
	r.gitlab(gitlab, key)
	r.name(gitlab)
	r.second(files)
	r.kas()
	if r.custom == nil {
		r.certificate(gitlab.Hostname())
		r.protocols()
		r.nginx()
		r.redirect()
		r.frontKeys()
	} else {
		r.front(r.custom)
		if path := strings.TrimSuffix(r.custom.kubernetes.path, "/"); path != "/k8s-proxy" {
			r.add("kas.pathPrefix", path, place(r.custom.server.Name))
		}
	}
	r.agree()
	r.unkept()
	r.d.sort()
	return r.d, nil
}

// sort has warnings first.
func (d *Description) sort() {
	slices.SortStableFunc(d.Lost, func(a, b Lost) int {
		switch {
		case a.Warning == b.Warning:
			return 0
		case a.Warning:
			return -1
		default:
			return 1
		}
	})
}

func (r *reading) add(path string, value any, why string) {
	r.d.Fields = append(r.d.Fields, Field{path, value, why})
}

func (r *reading) lose(why, fix string, key ...string) {
	r.d.Lost = append(r.d.Lost, Lost{Key: Name(key...), Why: why, Fix: fix})
}

// Name is a setting as gitlab.rb writes it.
func Name(key ...string) string {
	name := key[0]
	for _, k := range key[1:] {
		name += "['" + k + "']"
	}
	return name
}

func (r *reading) text(key ...string) string {
	s, _ := r.get(key...).(string)
	return s
}

// vhost is a setting of kas's own vhost, wherever this version has it.
func (r *reading) vhost(name string) (any, []string) {
	for _, key := range [][]string{{"gitlab_kas", "nginx", name}, {"gitlab_kas_nginx", name}} {
		if v := r.get(key...); v != nil {
			return v, key
		}
	}
	if r.get("gitlab_kas_nginx") != nil {
		return nil, []string{"gitlab_kas_nginx", name}
	}
	return nil, []string{"gitlab_kas", "nginx", name}
}

func (r *reading) gitlab(external *url.URL, key string) {
	address := r.text("gitlab_kas", "gitlab_address")
	origin := external.Scheme + "://" + external.Host
	if address == "" {
		address = strings.TrimSuffix(external.String(), "/")
	} else {
		key = Name("gitlab_kas", "gitlab_address")
	}
	r.add("gitlab.url", address, key)
	if u, err := url.Parse(address); err == nil && u.Scheme+"://"+u.Host != origin {
		r.add("gitlab.externalURL", origin, "external_url")
	}
}

// name is kas's own, or the one that it would have.
func (r *reading) name(gitlab *url.URL) {
	const key = "gitlab_kas_external_url"
	kas, err := url.Parse(r.text(key)) // Describe has looked at it
	if host, at := r.vhost("host"); r.text(key) == "" && host != nil {
		if on, _ := r.vhost("enable"); on == true {
			r.own, _, _ = strings.Cut(text(host), " ")
			r.add("names.kas", r.own, Name(at...))
			return
		}
	}
	if r.text(key) != "" && err == nil && kas.Hostname() != "" && kas.Hostname() != gitlab.Hostname() {
		r.own = kas.Hostname()
		r.add("names.kas", r.own, key)
		if port := kas.Port(); port != "" && port != "443" {
			r.lose("Omnibus takes no notice of this port: its vhost listens on gitlab_kas['nginx']['port']", "leave the port out", key)
		}
		if kas.Scheme == "ws" {
			r.lose("agents and kubectl send their tokens in clear text, and kasgen has no topology for that", "give kas a certificate, and the URL wss://", key)
		}
		return
	}
	r.add("names.kas", "kas."+gitlab.Hostname(), "a proposal: "+key+" names no host of its own")
	r.lose("kas is on GitLab's own name, below "+samePath+", which no topology of kasgen's is",
		"make DNS of names.kas before this file is rendered and installed: agents and CI jobs are given the new name then, and GitLab's own name keeps working while `gitlab-ctl reconfigure` has not run", key)
}

// kas is how kas itself runs.
func (r *reading) kas() {
	for _, l := range []struct{ key, field, usual string }{
		{"listen_address", "kas.listen.agent", agentPort},
		{"kubernetes_api_listen_address", "kas.listen.kubernetesAPI", proxyPort},
		{"observability_listen_address", "kas.listen.observability", healthPort},
		{"internal_api_listen_address", "kas.listen.api", railsPort},
		{"private_api_listen_address", "kas.listen.privateAPI", privatePort},
	} {
		at := r.text("gitlab_kas", l.key)
		if at == "" {
			continue
		}
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			r.lose(fmt.Sprintf("%q is no address with a port", at), "kasgen's listeners are TCP: write host:port", "gitlab_kas", l.key)
			continue
		}
		switch host {
		case "localhost":
			host = "127.0.0.1"
		case "", "*":
			host = "0.0.0.0"
		}
		if at = net.JoinHostPort(host, port); at != l.usual {
			r.add(l.field, at, Name("gitlab_kas", l.key))
		}
	}
	for _, key := range []string{"listen_network", "observability_listen_network", "internal_api_listen_network", "private_api_listen_network"} {
		if n := r.text("gitlab_kas", key); n != "" && n != "tcp" {
			r.lose(fmt.Sprintf("kasgen's listeners are TCP, and this is %q", n), "write tcp, or keep this line below the one that reads kasgen.rb", "gitlab_kas", key)
		}
	}
	if on, set := r.get("gitlab_kas", "listen_websocket").(bool); set && !on {
		r.add("agents.websocket", "remove", Name("gitlab_kas", "listen_websocket"))
	}
}

// certificate is who kas's own vhost has it of. Where kas has no vhost of its
// own there is none to describe.
func (r *reading) certificate(gitlab string) {
	crt, key := r.vhost("ssl_certificate")
	secret, _ := r.vhost("ssl_certificate_key")
	certificate, _ := crt.(string)
	// Let's Encrypt's for GitLab's name has kas's name in it, and is renewed.
	if on, _ := r.get("letsencrypt", "enable").(bool); on && (certificate == "" || certificate == usualTLS+gitlab+".crt") {
		r.add("tls.source", "omnibus", Name("letsencrypt", "enable"))
		r.letsEncrypt = true
		return
	}
	if certificate == "" {
		if https, _ := r.vhost("listen_https"); r.own != "" && https != false && !strings.HasPrefix(r.text("gitlab_kas_external_url"), "ws://") {
			r.add("tls.certificateFile", usualTLS+r.own+".crt", "where Omnibus looks for it")
			r.add("tls.keyFile", usualTLS+r.own+".key", "where Omnibus looks for it")
		}
		return
	}
	r.add("tls.certificateFile", certificate, Name(key...))
	if s, ok := secret.(string); ok && s != "" {
		r.add("tls.keyFile", s, Name(append(slices.Clone(key[:len(key)-1]), "ssl_certificate_key")...))
	}
}

package omnibus

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// KAS51xx: settings of gitlab.rb that do not go with a topology.
const (
	CodeSecret    = "KAS5101"
	CodePair      = "KAS5102"
	CodeKASTLS    = "KAS5103"
	CodePlainURL  = "KAS5104"
	CodeNeighbour = "KAS5105"
	CodeNoNginx   = "KAS5106"
	CodeOverruled = "KAS5107"
	CodeExtra     = "KAS5108"
	CodeNginx     = "KAS5109"
	CodeAbsent    = "KAS5110"

	CodeUnreadable = "KAS5111"
)

// KAS513x: how GitLab's nginx listens, where that does not go with a port that is
// shared or with vhosts beside GitLab's.
const (
	CodeCleartext = "KAS5130"
	CodeIPv6      = "KAS5131"
	CodeHidden    = "KAS5132"
)

// verify looks at what Omnibus last worked with: faults in it that would end a
// reconfigure or break what is rendered.
func (p *plan) verify(f generator.Facts, vhosts bool) diag.Findings {
	var fs diag.Findings
	r, pkg := p.resolved, p.pkg
	add := adding(&fs, r.File)
	secrets(r, add)
	raises(pkg, r, p.settings, add)
	if !p.inEffect {
		p.plainURL(add)
	}
	pairs(f, pkg, r, add)
	if vhosts && r.at("nginx", "enable") == false {
		add(diag.Error, CodeNoNginx, "nginx['enable']", "Omnibus's nginx is off", "the vhosts of this topology are in it", "set nginx['enable'] = true, or use a topology and balancers without vhosts")
	}
	sharing(f, pkg, r, add)
	neighbours(f, pkg, r, add)
	narrowed(f, pkg, r, add)
	hidden(f, pkg, r, add)
	if r.at("gitlab_kas", "extra_config_command") != nil && r.text("gitlab_kas", "extra_config_command") != "" {
		add(diag.Warning, CodeExtra, "gitlab_kas['extra_config_command']", "kas reads more settings from a command",
			"they may change listeners and paths, and nobody here sees them", "see that it sets neither agent.listen nor agent.kubernetes_api")
	}
	fs.Sort()
	return fs
}

// absent looks for a certificate that somebody is to have put there. Where
// GitLab's nginx is to read it, that nginx would not start without.
func (p *plan) absent(f generator.Facts, nginx bool) diag.Findings {
	var fs diag.Findings
	fix := "put it there before gitlab-ctl reconfigure, or write tls.source: acme"
	switch f.Spec.TLS.Source {
	case spec.TLSFiles:
	case spec.TLSOmnibus:
		if p.obtains(f) {
			return nil // it makes one for nginx to start with, and then has Let's Encrypt's
		}
		fix += "; or set letsencrypt['enable'] = true, and Omnibus obtains it"
	default:
		return nil
	}
	_, own := packaged(f.Topology, p.pkg)
	severity, why := diag.Warning, "nobody gets through TLS for kas's name before it is"
	if nginx || own || f.Spec.TLS.Source == spec.TLSOmnibus { // which nginx alone may read
		severity, why = diag.Error, "GitLab's nginx would not start without it, and nobody would reach GitLab"
	}
	for _, c := range []struct{ field, path string }{{"tls.certificateFile", f.Spec.TLS.CertificateFile}, {"tls.keyFile", f.Spec.TLS.KeyFile}} {
		if c.path != "" && !p.host.has(c.path) {
			fs.Add(diag.Finding{Code: CodeAbsent, Severity: severity, Pos: f.At(c.field), Field: c.field, What: c.path + " is not there",
				Why: why, Fix: fix})
		}
	}
	return fs
}

// obtains says whether Omnibus's Let's Encrypt obtains a certificate that is not
// there. Unless it is told, it does where GitLab's URL is https.
func (p *plan) obtains(f generator.Facts) bool {
	if p.resolved != nil {
		if told, ok := p.resolved.at("letsencrypt", "enable").(bool); ok {
			return told
		}
	}
	return gitlabURL(f.Spec).Scheme == "https"
}

type reporter func(severity diag.Severity, code, key, what, why, fix string)

// secrets looks at their length, and never at more.
func secrets(r *Resolved, add reporter) {
	for _, s := range []struct {
		key  string
		size int
	}{{"api_secret_key", 32}, {"private_api_secret_key", 32}, {"websocket_token_secret_key", 72}} {
		if r.at("gitlab_kas", s.key) == nil {
			continue
		}
		if n := r.secret("gitlab_kas", s.key); n != s.size {
			is := "is not base64"
			if n >= 0 {
				is = fmt.Sprintf("has %d bytes", n)
			}
			badSecret("gitlab_kas['"+s.key+"']", is, fmt.Sprint(s.size), add)
		}
	}
}

// pairs looks at TLS of kas's own listeners.
func pairs(f generator.Facts, pkg Package, r *Resolved, add reporter) {
	has := func(key string) bool { return r.text("gitlab_kas", key) != "" }
	for _, prefix := range []string{"", "internal_api_", "kubernetes_api_", "private_api_"} {
		if has(prefix+"certificate_file") != has(prefix+"key_file") {
			halfPair(prefix, add)
		}
	}
	agents, kubernetes := has("certificate_file"), has("kubernetes_api_certificate_file")
	_, own := packaged(f.Topology, pkg)
	switch {
	case agents != kubernetes:
		add(diag.Error, CodePair, "gitlab_kas['kubernetes_api_certificate_file']", "one of kas's listeners for agents and the Kubernetes API has a certificate, and the other none",
			"Omnibus's vhost speaks to both as the first one says, and one of them answers 502 or 400", "set both pairs, or neither")
	case agents && !own:
		add(diag.Error, CodeKASTLS, "gitlab_kas['certificate_file']", "kas ends TLS itself", "what is rendered before it ends TLS and passes cleartext on, on this machine",
			"remove gitlab_kas['certificate_file'], ['key_file'] and those of kubernetes_api")
	}
}

// overruled says which of our keys hold something else after a reconfigure: a
// later line of gitlab.rb has replaced it.
func overruled(s settings, r *Resolved) diag.Findings {
	var fs diag.Findings
	for _, one := range s.list {
		got := r.at(one.key...)
		ok := true
		switch one.how {
		case set:
			ok = fmt.Sprint(got) == fmt.Sprint(one.value) || sameList(got, one.value)
		case text:
			t, _ := got.(string)
			ok = strings.Contains(t, markBegin+"\n"+fmt.Sprint(one.value)+"\n"+markEnd)
		case list:
			ok = holds(got, one.value)
		case least:
			n, err := strconv.Atoi(fmt.Sprint(got))
			want, _ := one.value.(int)
			ok = err == nil && n >= want
		case off:
		}
		if !ok {
			key := rubyKey(one.key)
			f := diag.Finding{Code: CodeOverruled, Severity: diag.Warning, Pos: diag.Pos{File: r.File}, Field: key, What: key + " is not what kasgen.rb says",
				Why: "a line of gitlab.rb below it has another value, which wins", Fix: "remove that line, or move it above the line that reads kasgen.rb"}
			if u, _ := got.(string); strings.HasPrefix(u, "http://") && strings.HasSuffix(key, "k8s_proxy_url']") {
				f.Code, f.Severity, f.What, f.Why = CodePlainURL, diag.Error, key+" is an http URL", "kubectl sends no token over http"
			}
			fs.Add(f)
		}
	}
	return fs
}

func sameList(got, want any) bool {
	list, ok := got.([]any)
	w, also := want.([]string)
	if !ok || !also {
		return false
	}
	var texts []string
	for _, v := range list {
		texts = append(texts, fmt.Sprint(v))
	}
	return reflect.DeepEqual(texts, w)
}

func holds(got, want any) bool {
	list, ok := got.([]any)
	w, also := want.([]string)
	if !ok || !also {
		return false
	}
	there := map[string]bool{}
	for _, v := range list {
		there[fmt.Sprint(v)] = true
	}
	for _, v := range w {
		if !there[v] {
			return false
		}
	}
	return true
}

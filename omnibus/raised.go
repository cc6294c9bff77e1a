package omnibus

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"kasgen/internal/diag"
)

// KAS512x: settings that Omnibus itself raises at.
const (
	CodeURL       = "KAS5120"
	CodeWebsocket = "KAS5121"
	CodeNetwork   = "KAS5122"
	CodeUnknown   = "KAS5123"
)

const (
	agentsKey    = "gitlab_kas_external_url"
	proxyKey     = "gitlab_kas_external_k8s_proxy_url"
	websocketKey = "gitlab_kas['listen_websocket']"
	networkKey   = "gitlab_kas['internal_api_listen_network']"
	ends         = "Omnibus ends a reconfigure "
)

// ground is one thing that Omnibus raises at.
type ground struct {
	says *regexp.Regexp
	tell func(said []string, add reporter)
}

// grounds are what Omnibus raises at, told by what it says then: messages of
// the package's cookbooks. What a message has of names and numbers is found by
// patterns that no secret and no value fits.
func grounds() []ground {
	return []ground{
		{regexp.MustCompile(`gitlab_kas_external_url scheme must be`), func(_ []string, add reporter) { badScheme(add) }},
		{regexp.MustCompile(`gitlab_kas_external_url must include a scheme`), func(_ []string, add reporter) { noScheme(add) }},
		{regexp.MustCompile(`\['listen_websocket'\] must be set to`), func(_ []string, add reporter) { noWebsocket(add) }},
		{regexp.MustCompile(`\['internal_api_listen_network'\] should be`), func(_ []string, add reporter) { badNetwork(add) }},
		{regexp.MustCompile(`(?:\bexternal_url scheme should be|GitLab external URL must include a schem[ae])`), func(_ []string, add reporter) { badGitLab(add) }},
		{regexp.MustCompile(`gitlab_kas\['(api_secret_key|private_api_secret_key|websocket_token_secret_key)'\] should be exactly (32|72) bytes`), func(said []string, add reporter) {
			badSecret("gitlab_kas['"+said[1]+"']", "has another length", said[2], add)
		}},
		// Ruby's own words, which do not say of which.
		{regexp.MustCompile(`\binvalid base64\b`), func(_ []string, add reporter) {
			badSecret("gitlab_kas['api_secret_key']", "or another secret of gitlab.rb is not base64", "32", add)
		}},
		{regexp.MustCompile(`gitlab_kas\['([a-z_]*)certificate_file'\] and \['[a-z_]*key_file'\] go together`), func(said []string, add reporter) { halfPair(said[1], add) }},
		{regexp.MustCompile(`(?:unsupported config key '|unsupported config value |unknown key )([a-z]\w{0,60}(?:\['\w{1,60}'\]){0,4})`), func(said []string, add reporter) {
			add(diag.Error, CodeUnknown, said[1], said[1]+" is no key of this package", ends+"at a name in gitlab.rb that it does not know",
				"correct it or remove it; docs.gitlab.com and /opt/gitlab/etc/gitlab.rb.template have the keys of each version")
		}},
	}
}

// raised is what Omnibus has raised at, as far as what it said tells; nothing
// where that is unknown. What it said holds values, and is never repeated.
func raised(file, said string) diag.Findings {
	var fs diag.Findings
	add := adding(&fs, file)
	for _, g := range grounds() {
		if m := g.says.FindStringSubmatch(said); m != nil {
			g.tell(m, add)
		}
	}
	fs.Sort()
	return fs
}

// raises looks in settings for what Omnibus would raise at. One that a run has
// ended well with has none; a file that was made by other means may.
func raises(pkg Package, r *Resolved, ours settings, add reporter) {
	if network := r.text("gitlab_kas", "internal_api_listen_network"); network != "" && r.at("gitlab_rails", "gitlab_kas_internal_url") == nil &&
		!slices.Contains([]string{"tcp", "tcp4", "tcp6", "unix"}, network) {
		badNetwork(add)
	}
	gitlab, err := url.Parse(r.text("external_url"))
	if err != nil || gitlab.String() == "" {
		return // it derives nothing for kas then
	}
	if gitlab.Scheme != "http" && gitlab.Scheme != "https" {
		badGitLab(add)
		return
	}
	text := r.text(agentsKey)
	if text == "" || r.at("gitlab_kas", "enable") == false || r.at("gitlab_rails", agentsKey) != nil || ours.tellsAgents() {
		return
	}
	kas, err := url.Parse(text)
	switch {
	case err != nil || kas.Hostname() == "":
		noScheme(add)
	case kas.Hostname() == gitlab.Hostname():
	case kas.Scheme == "grpcs" && pkg.Native:
	case kas.Scheme != "ws" && kas.Scheme != "wss":
		badScheme(add)
	case r.at("gitlab_kas", "listen_websocket") == false:
		noWebsocket(add)
	}
}

// tellsAgents says whether our keys have the address that Rails is told. Omnibus
// looks at no address of kas's then.
func (s settings) tellsAgents() bool {
	return slices.ContainsFunc(s.list, func(one setting) bool { return slices.Equal(one.key, []string{"gitlab_rails", agentsKey}) })
}

// standing is what of the grounds holds against our new keys, too: gitlab.rb was
// evaluated with those that were there before.
func standing(found diag.Findings, ours settings) diag.Findings {
	return slices.DeleteFunc(slices.Clone(found), func(f diag.Finding) bool {
		return ours.tellsAgents() && (f.Code == CodeURL && f.Field == agentsKey || f.Code == CodeWebsocket)
	})
}

func adding(fs *diag.Findings, file string) reporter {
	return func(severity diag.Severity, code, key, what, why, fix string) {
		fs.Add(diag.Finding{Code: code, Severity: severity, Pos: diag.Pos{File: file}, Field: key, What: what, Why: why, Fix: fix})
	}
}

const orAbove = "remove the line from gitlab.rb, or move it above the one that reads kasgen.rb, which has the address"

func badScheme(add reporter) {
	add(diag.Error, CodeURL, agentsKey, agentsKey+" has a scheme that this package refuses", ends+"unless the scheme of kas's own name is ws or wss, or from 19.5 on grpcs",
		orAbove+"; or write wss://")
}

func noScheme(add reporter) {
	add(diag.Error, CodeURL, agentsKey, agentsKey+" is no URL with a scheme and a name", ends+"unless it is", orAbove+"; or write it like wss://kas.example.com")
}

func badGitLab(add reporter) {
	add(diag.Error, CodeURL, "external_url", "external_url is no http or https URL", ends+"unless it is", "write it like external_url 'https://gitlab.example.com'")
}

func noWebsocket(add reporter) {
	add(diag.Error, CodeWebsocket, websocketKey, websocketKey+" is false, and "+agentsKey+" is a ws or wss URL of kas's own name",
		ends+"then: nobody would answer agents by that URL", "remove the line from gitlab.rb, and write agents.websocket: remove in kasgen.yaml")
}

func badNetwork(add reporter) {
	add(diag.Error, CodeNetwork, networkKey, networkKey+" is none that Omnibus knows", ends+"unless it is 'tcp', 'tcp4', 'tcp6' or 'unix'", "write one of them, or remove the line from gitlab.rb")
}

func badSecret(key, is, size string, add reporter) {
	add(diag.Error, CodeSecret, key, key+" "+is, ends+"unless it is the base64 of "+size+" bytes",
		fmt.Sprintf("remove it from gitlab.rb and /etc/gitlab/gitlab-secrets.json, and Omnibus makes one; or `openssl rand -base64 %s`", size))
}

func halfPair(prefix string, add reporter) {
	add(diag.Error, CodePair, "gitlab_kas['"+prefix+"certificate_file']", "a listener of kas has a certificate or a key, and not both",
		"kas does not start", "set gitlab_kas['"+prefix+"certificate_file'] and ['"+prefix+"key_file'], or neither")
}

// plainURL says that kubectl is told an http address by a line of gitlab.rb. What
// Omnibus derives itself is replaced by our key, where that is not in effect yet.
func (p *plan) plainURL(add reporter) {
	address, known := p.resolved.text("gitlab_rails", proxyKey), p.known()
	if !strings.HasPrefix(address, "http://") || !known && p.resolved.derivesPlain(address) {
		return
	}
	severity, why := diag.Error, "kubectl sends no token over http"
	if !known && p.attributes == "" {
		severity, why = diag.Warning, why+"; kasgen.rb replaces it at the next reconfigure, as long as its line is below"
	}
	key := rubyKey([]string{"gitlab_rails", proxyKey})
	add(severity, CodePlainURL, key, key+" is an http URL", why, "remove the line from gitlab.rb, or move it above the one that reads kasgen.rb")
}

// derivesPlain says whether an http address is what Omnibus itself makes of the
// other addresses.
func (r *Resolved) derivesPlain(address string) bool {
	if gitlab := r.text("external_url"); strings.HasPrefix(gitlab, "http://") && strings.HasPrefix(address, strings.TrimSuffix(gitlab, "/")+"/-/") {
		return true
	}
	at, err := url.Parse(address)
	kas, fault := url.Parse(r.text(agentsKey))
	return err == nil && fault == nil && kas.Scheme != "wss" && at.Path == "/k8s-proxy/" && kas.Hostname() == at.Hostname()
}

package spec

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
)

// Scalar is a field that a flag or variable can override.
type Scalar struct {
	Flag  string
	Field string
	Usage string
	field func(*Spec) any
}

// Values are what the field can be, or none where it is not an enumeration.
func (s Scalar) Values() []string {
	if _, truth := s.field(new(Spec)).(*bool); truth {
		return []string{"true", "false"}
	}
	return Rules()[s.Field].Values
}

// Scalars lists every field that a flag or variable can override. Lists and
// sections are for the file.
func Scalars() []Scalar {
	return []Scalar{
		{"topology", "topology", "how kas is reached: packaged, A, B or D", func(s *Spec) any { return &s.Topology }},
		{"gitlab-url", "gitlab.url", "where kas calls GitLab", func(s *Spec) any { return &s.GitLab.URL }},
		{"gitlab-external-url", "gitlab.externalURL", "where people reach GitLab", func(s *Spec) any { return &s.GitLab.ExternalURL }},
		{"gitlab-ca-file", "gitlab.caFile", "CA of GitLab's certificate", func(s *Spec) any { return &s.GitLab.CAFile }},
		{"state-dir", "stateDir", "where certificates and secrets lie", func(s *Spec) any { return &s.StateDir }},
		{"kas-name", "names.kas", "host name of kas", func(s *Spec) any { return &s.Names.KAS }},
		{"grpc-name", "names.grpc", "host name of agents by gRPC, in topologies with two names", func(s *Spec) any { return &s.Names.GRPC }},
		{"tls-source", "tls.source", "files, developmentCA, acme, balancer or omnibus", func(s *Spec) any { return &s.TLS.Source }},
		{"tls-certificate-file", "tls.certificateFile", "certificate of kas", func(s *Spec) any { return &s.TLS.CertificateFile }},
		{"tls-key-file", "tls.keyFile", "key of the certificate", func(s *Spec) any { return &s.TLS.KeyFile }},
		{"tls-min-version", "tls.minVersion", "1.2 or 1.3", func(s *Spec) any { return &s.TLS.MinVersion }},
		{"tls-acme-directory", "tls.acme.directory", "URL of the CA's directory; Let's Encrypt's by default", func(s *Spec) any { return &s.TLS.ACME.Directory }},
		{"tls-acme-staging", "tls.acme.staging", "true for Let's Encrypt's staging CA", func(s *Spec) any { return &s.TLS.ACME.Staging }},
		{"tls-acme-ca-file", "tls.acme.caFile", "CA of the directory's own certificate", func(s *Spec) any { return &s.TLS.ACME.CAFile }},
		{"tls-acme-email", "tls.acme.email", "address that the CA may write to", func(s *Spec) any { return &s.TLS.ACME.Email }},
		{"tls-acme-key-type", "tls.acme.keyType", "ecdsa256, ecdsa384, rsa2048 or rsa4096", func(s *Spec) any { return &s.TLS.ACME.KeyType }},
		{"tls-acme-challenge", "tls.acme.challenge", "tls-alpn-01 or http-01", func(s *Spec) any { return &s.TLS.ACME.Challenge }},
		{"tls-acme-webroot", "tls.acme.webroot", "from which somebody else's server on port 80 answers", func(s *Spec) any { return &s.TLS.ACME.Webroot }},
		{"tls-acme-cache-directory", "tls.acme.cache.directory", "where account and certificates are kept", func(s *Spec) any { return &s.TLS.ACME.Cache.Directory }},
		{"tls-acme-cache-key-file", "tls.acme.cache.keyFile", "key file that encrypts what is kept", func(s *Spec) any { return &s.TLS.ACME.Cache.KeyFile }},
		{"tls-acme-observability", "tls.acme.observability", "where readiness and metrics of certificates are served", func(s *Spec) any { return &s.TLS.ACME.Observability }},
		{"load-balancer-kind", "loadBalancer.kind", "haproxy, nginx-stream, nginx, external-tcp, external-http or external-http2", func(s *Spec) any { return &s.LoadBalancer.Kind }},
		{"load-balancer-tls", "loadBalancer.tls", "passthrough, terminate or reencrypt", func(s *Spec) any { return &s.LoadBalancer.TLS }},
		{"load-balancer-proxy-protocol", "loadBalancer.proxyProtocol", "what the edge gets: none, v1 or v2", func(s *Spec) any { return &s.LoadBalancer.ProxyProtocol }},
		{"load-balancer-balance", "loadBalancer.balance", "roundrobin, leastconn or source", func(s *Spec) any { return &s.LoadBalancer.Balance }},
		{"load-balancer-share-with-gitlab", "loadBalancer.shareWithGitLab.enabled", "true to share the port with GitLab by SNI", func(s *Spec) any { return &s.LoadBalancer.ShareWithGitLab.Enabled }},
		{"grpc-balancer-kind", "grpcBalancer.kind", "haproxy, nginx or external-http2", func(s *Spec) any { return &s.GRPCBalancer.Kind }},
		{"grpc-balancer-address", "grpcBalancer.address", "shared with the load balancer by SNI, or own", func(s *Spec) any { return &s.GRPCBalancer.Address }},
		{"grpc-balancer-tls", "grpcBalancer.tls", "terminate or cleartext", func(s *Spec) any { return &s.GRPCBalancer.TLS }},
		{"edge-listen", "edge.listen", "address of the edge", func(s *Spec) any { return &s.Edge.Listen }},
		{"kas-kind", "kas.kind", "embedded, gitlab or external", func(s *Spec) any { return &s.KAS.Kind }},
		{"kas-version", "kas.version", "version of GitLab's kas", func(s *Spec) any { return &s.KAS.Version }},
		{"kas-path-prefix", "kas.pathPrefix", "path of the Kubernetes API proxy", func(s *Spec) any { return &s.KAS.PathPrefix }},
		{"agents-websocket", "agents.websocket", "keep or remove", func(s *Spec) any { return &s.Agents.Websocket }},
		{"timeouts-connect", "timeouts.connect", "time limit of a dial", func(s *Spec) any { return &s.Timeouts.Connect }},
		{"timeouts-idle", "timeouts.idle", "time limit without a byte", func(s *Spec) any { return &s.Timeouts.Idle }},
		{"timeouts-drain", "timeouts.drain", "how long streams live on after SIGTERM", func(s *Spec) any { return &s.Timeouts.Drain }},
		{"nginx-version", "nginx.version", "version of nginx", func(s *Spec) any { return &s.Nginx.Version }},
	}
}

// Override is a scalar's value from somewhere else than the file.
type Override struct {
	Field  string
	Text   string
	Source string // "--kas-name" or "KASGEN_KAS_NAME"
}

// apply sets a scalar. An unknown field is a programmer's error.
func (o Override) apply(s *Spec) *diag.Finding {
	for _, scalar := range Scalars() {
		if scalar.Field != o.Field {
			continue
		}
		err := setScalar(scalar.field(s), o.Text)
		if err == nil {
			return nil
		}
		f := diag.Finding{Code: strictyaml.CodeValue, Pos: diag.Pos{File: o.Source}, Field: o.Field,
			What: fmt.Sprintf("%s cannot be %q", o.Field, o.Text), Why: err.Error(), Fix: "correct the value"}
		if v, ok := errors.AsType[*strictyaml.ValueError](err); ok {
			f.Fix = v.Fix
		}
		return &f
	}
	panic("spec: no scalar " + o.Field)
}

func setScalar(field any, text string) error {
	if u, ok := field.(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v := reflect.ValueOf(field).Elem(); v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return &strictyaml.ValueError{What: "it must be true or false", Fix: "write true or false"}
		}
		v.SetBool(b)
	default:
		panic(fmt.Sprintf("spec: a scalar of type %s", v.Type()))
	}
	return nil
}

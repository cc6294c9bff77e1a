package chart

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kasgen/chart/extras"
	"kasgen/chart/inventory"
	"kasgen/chart/values"
	"kasgen/internal/cli"
)

// options are what a kasgen.yaml does not say of a release, by flags.
type options struct {
	extras.Options
	routes, provider, image string
	kasTLSSecret            string
}

// addShared gives flags that values and extras have to agree on.
func (o *options) addShared(f *pflag.FlagSet) {
	f.StringVar(&o.routes, "routes", "", "who takes HTTP: "+strings.Join(extras.AllRoutes(), ", ")+" (default: nginx before chart 10, then gateway)")
	f.StringVar(&o.kasTLSSecret, "kas-tls-secret", "", "Secret with a certificate for kas itself, of <release>-kas.<namespace>.svc (topologies without an edge)")
}

// addExtras gives cmd the flags of the extras alone.
func (o *options) addExtras(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.provider, "provider", string(extras.Generic), "whose TCP balancer: "+strings.Join(extras.Providers(), ", "))
	f.StringVar(&o.image, "image", "kasgen:"+cli.Version, "image of the edge, as make image builds it")
	f.StringVar(&o.Issuer, "issuer", "", "cert-manager's issuer of the certificate")
	f.StringVar(&o.IssuerKind, "issuer-kind", "ClusterIssuer", "ClusterIssuer or Issuer")
	f.StringVar(&o.Secret, "tls-secret", "", "Secret of the certificate (default: <release>-kas-edge-tls)")
	f.StringVar(&o.ARN, "certificate-arn", "", "certificate in AWS Certificate Manager")
	f.StringVar(&o.CertificateMap, "certificate-map", "", "certificates in Google's Certificate Manager")
	f.BoolVar(&o.Passthrough, "passthrough-gateway", false, "a listener of a Gateway leads TLS to the edge, in place of a Service of type LoadBalancer")
	f.StringVar(&o.GatewayName, "gateway", "", "Gateway that is there (default: one is made where routes need it)")
	f.StringVar(&o.GatewayNamespace, "gateway-namespace", "", "its namespace (default: the release's)")
	f.StringVar(&o.GatewaySection, "gateway-section", "", "its listener")
	f.StringArrayVar(&o.SourceRanges, "source-range", nil, "network that may connect; can be given several times (default: all)")
	cli.Complete(cmd, "provider", extras.Providers)
}

// completed checks the flags, and fills in what follows from the chart's version.
func (o *options) completed(v inventory.Version, release, namespace string) (extras.Options, error) {
	e := o.Options
	e.Release, e.Namespace, e.KASTLS = release, namespace, o.kasTLSSecret != ""
	e.Routes = extras.Nginx
	if v.Major >= 10 {
		e.Routes = extras.Gateway
	}
	if o.routes != "" {
		if !slices.Contains(extras.AllRoutes(), o.routes) {
			return e, cli.Usage("--routes: it is one of %s", strings.Join(extras.AllRoutes(), ", "))
		}
		e.Routes = extras.Routes(o.routes)
	}
	if !slices.Contains(extras.Providers(), o.provider) && o.provider != "" {
		return e, cli.Usage("--provider: it is one of %s", strings.Join(extras.Providers(), ", "))
	}
	if e.IssuerKind != "" && e.IssuerKind != "ClusterIssuer" && e.IssuerKind != "Issuer" {
		return e, cli.Usage("--issuer-kind: it is ClusterIssuer or Issuer")
	}
	e.Provider = extras.Provider(o.provider)
	e.Image, e.Tag = o.image, cli.Version
	if i := strings.LastIndexByte(o.image, ':'); i > strings.LastIndexByte(o.image, '/') {
		e.Image, e.Tag = o.image[:i], o.image[i+1:]
	}
	return e, nil
}

// ofValues are the options that values take part in.
func (o *options) ofValues() values.Options {
	return values.Options{Managed: extras.Routes(o.routes).Managed(), KASTLSSecret: o.kasTLSSecret, Gateway: extras.Routes(o.routes) == extras.Gateway, Ingress: extras.Routes(o.routes) == extras.Nginx}
}

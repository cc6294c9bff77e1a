package lab

import (
	"fmt"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kasgen/scenarios/lab/cluster"
)

// url is the Kubernetes API's, by the name that clients of kas use.
func (l *Lab) url() string {
	n := l.names.of(kubernetesAPI)
	return "https://" + strings.TrimSuffix(n.hostport(), ":443") + n.PathPrefix
}

// RESTConfig is how a client reaches the cluster through kas and an agent.
func (l *Lab) RESTConfig(a Agent, userAgent string) *rest.Config {
	return &rest.Config{
		Host: l.url(), BearerToken: l.bearer(a), UserAgent: userAgent,
		TLSClientConfig: rest.TLSClientConfig{CAData: l.trusted}, Proxy: http.ProxyURL(l.proxy.url()),
	}
}

func (l *Lab) bearer(a Agent) string { return fmt.Sprintf("ci:%d:%s", a.ID, l.job) }

// Kubeconfig has a context for each agent; the first is current.
func (l *Lab) Kubeconfig() ([]byte, error) {
	c := api.NewConfig()
	c.Clusters["kas"] = &api.Cluster{Server: l.url(), CertificateAuthorityData: l.trusted, ProxyURL: l.proxy.url().String()}
	for _, a := range l.Agents {
		c.AuthInfos[a.Name] = &api.AuthInfo{Token: l.bearer(a)}
		c.Contexts[a.Name] = &api.Context{Cluster: "kas", AuthInfo: a.Name, Namespace: cluster.Namespace}
	}
	c.CurrentContext = l.Agents[0].Name
	return clientcmd.Write(*c)
}

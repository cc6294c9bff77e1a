package lab

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kasgen/scenarios/lab/cluster"
)

// server is the URL of the Kubernetes API through the front.
func (l *Lab) url() string { return "https://" + l.server + l.names.of(kubernetesAPI).PathPrefix }

// RESTConfig is how a client reaches the cluster through kas and an agent.
func (l *Lab) RESTConfig(a Agent, userAgent string) *rest.Config {
	return &rest.Config{
		Host: l.url(), BearerToken: l.bearer(a), UserAgent: userAgent,
		TLSClientConfig: rest.TLSClientConfig{CAData: l.caPEM, ServerName: l.names.of(kubernetesAPI).Name},
	}
}

func (l *Lab) bearer(a Agent) string { return fmt.Sprintf("ci:%d:%s", a.ID, l.job) }

// Kubeconfig has a context for each agent; the first is current.
func (l *Lab) Kubeconfig() ([]byte, error) {
	c := api.NewConfig()
	c.Clusters["kas"] = &api.Cluster{Server: l.url(), CertificateAuthorityData: l.caPEM, TLSServerName: l.names.of(kubernetesAPI).Name}
	for _, a := range l.Agents {
		c.AuthInfos[a.Name] = &api.AuthInfo{Token: l.bearer(a)}
		c.Contexts[a.Name] = &api.Context{Cluster: "kas", AuthInfo: a.Name, Namespace: cluster.Namespace}
	}
	c.CurrentContext = l.Agents[0].Name
	return clientcmd.Write(*c)
}

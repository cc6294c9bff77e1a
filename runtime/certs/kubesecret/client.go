package kubesecret

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Connect is how to reach the API server, and the namespace that is ours there:
// by kubeconfig, or, where that is empty, as a pod by its service account.
func Connect(kubeconfig string) (*rest.Config, string, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
	// With neither a file nor a default it falls back to the service account,
	// whose namespace it reads too.
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	namespace, _, err := config.Namespace()
	if err != nil {
		return nil, "", err
	}
	c, err := config.ClientConfig()
	return c, namespace, err
}

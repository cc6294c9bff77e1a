package kubelet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/cluster"
)

const (
	// name is also the address by which the API server dials the kubelet: its
	// certificate has it, and the node's own address is not loopback's.
	name = "localhost"
	// Pod is in cluster.Namespace.
	Pod       = "contained"
	container = "main"
)

// writeKubeconfig is how the kubelet reaches the API server. It may do
// everything: the lab has no authorizer for nodes.
func writeKubeconfig(s *apiserver.Server, path string) error {
	id, err := s.Identity("system:node:"+name, "system:masters")
	if err != nil {
		return err
	}
	c := api.NewConfig()
	c.Clusters["lab"] = &api.Cluster{Server: s.RESTConfig().Host, CertificateAuthority: id.CAFile}
	c.AuthInfos["lab"] = &api.AuthInfo{ClientCertificate: id.CertFile, ClientKey: id.KeyFile}
	c.Contexts["lab"] = &api.Context{Cluster: "lab", AuthInfo: "lab"}
	c.CurrentContext = "lab"
	return clientcmd.WriteToFile(*c, path)
}

// startPod has the pod run on the node; no scheduler is needed for one that
// says where it belongs.
func (n *Node) startPod(ctx context.Context, _ *apiserver.Server, _ Options) error {
	port, err := free()
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return err
	}
	n.Port = int32(number)
	no, at := false, int64(1)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: Pod, Namespace: cluster.Namespace},
		Spec: corev1.PodSpec{
			NodeName: name, HostNetwork: true, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &at,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{Name: container, Image: image, ImagePullPolicy: corev1.PullNever, Stdin: true,
				Command: []string{"/guest", "127.0.0.1:" + port}}},
		},
	}
	pods := n.client.CoreV1().Pods(cluster.Namespace)
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	return n.wait(ctx, func(ctx context.Context) (bool, string, error) {
		p, err := pods.Get(ctx, Pod, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].Ready, describe(p), nil
	})
}

// endPod removes the pod while the kubelet still can.
func (n *Node) endPod(ctx context.Context) error {
	pods := n.client.CoreV1().Pods(cluster.Namespace)
	if err := pods.Delete(ctx, Pod, metav1.DeleteOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	return n.wait(ctx, func(ctx context.Context) (bool, string, error) {
		p, err := pods.Get(ctx, Pod, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, describe(p), err
	})
}

// wait asks until it is done. What it was last is part of the error.
func (n *Node) wait(ctx context.Context, done func(context.Context) (bool, string, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, state, err := done(ctx)
		if ok {
			return nil
		}
		if fault := n.kubelet.Running(); fault != nil {
			return fault
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the pod: %w: %s: %s", errors.Join(ctx.Err(), err), state, n.kubelet.Said())
		case <-tick.C:
		}
	}
}

// describe says how a pod is.
func describe(p *corev1.Pod) string {
	if p == nil {
		return ""
	}
	words := []string{string(p.Status.Phase), p.Status.Reason, p.Status.Message}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			words = append(words, w.Reason, w.Message)
		}
		if t := c.State.Terminated; t != nil {
			words = append(words, t.Reason, t.Message)
		}
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

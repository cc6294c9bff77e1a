package apiserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kasgen/scenarios/lab/cluster"
)

const (
	nodeName = "stand-in"
	// nodeAddress is the name by which the API server dials it.
	nodeAddress = "localhost"
)

// register tells the API server of the node and of the pod on it, in the
// place of a kubelet and of a scheduler.
func register(ctx context.Context, client kubernetes.Interface, port int) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{corev1.LabelHostname: nodeName}}}
	made, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: nodeAddress}}
	made.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	made.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Lab", LastTransitionTime: metav1.Now()}}
	if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := namespace(ctx, client); err != nil {
		return err
	}
	pods := client.CoreV1().Pods(cluster.Namespace)
	pod, err := pods.Create(ctx, newPod(), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	now, started := metav1.Now(), true
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: &now, HostIP: "127.0.0.1", PodIP: "127.0.0.1",
		ContainerStatuses: []corev1.ContainerStatus{{Name: cluster.Container, Image: image, ImageID: image, Ready: true, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}},
	}
	for _, t := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// namespace waits for the namespace that the API server makes by itself.
func namespace(ctx context.Context, client kubernetes.Interface) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.CoreV1().Namespaces().Get(ctx, cluster.Namespace, metav1.GetOptions{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

const image = "kasgen/stand-in"

func newPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: cluster.Pod, Namespace: cluster.Namespace},
		Spec: corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{
			Name: cluster.Container, Image: image, Stdin: true, // attach may write
			Ports: []corev1.ContainerPort{{Name: "echo", ContainerPort: cluster.ContainerPort, Protocol: corev1.ProtocolTCP}},
		}}},
	}
}

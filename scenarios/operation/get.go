package operation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// get reads the pod by name and in the list, and compares the two.
func get(ctx context.Context, c *client) error {
	pod, err := c.pod(ctx)
	if err != nil {
		return err
	}
	if pod.Name != c.Pod || pod.Namespace != c.Namespace || pod.UID == "" {
		return fmt.Errorf("asked for pod %s/%s and got %s/%s with uid %q", c.Namespace, c.Pod, pod.Namespace, pod.Name, pod.UID)
	}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("pod %s/%s is %s, not %s", c.Namespace, c.Pod, pod.Status.Phase, corev1.PodRunning)
	}
	if _, err := container(pod, c.Container); err != nil {
		return err
	}
	list := &corev1.PodList{}
	if err := c.rest.Get().Namespace(c.Namespace).Resource("pods").Do(ctx).Into(list); err != nil {
		return fmt.Errorf("listing the pods of %s: %w", c.Namespace, err)
	}
	for _, listed := range list.Items {
		if listed.Name == pod.Name {
			if listed.UID != pod.UID {
				return fmt.Errorf("pod %s/%s has uid %s by name and %s in the list", c.Namespace, c.Pod, pod.UID, listed.UID)
			}
			return nil
		}
	}
	return fmt.Errorf("pod %s/%s is not in the list of %d", c.Namespace, c.Pod, len(list.Items))
}

package cluster

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// object is what the store holds.
type object interface {
	runtime.Object
	metav1.Object
}

// kind is one resource that is served.
type kind struct {
	name       string
	short      string
	namespaced bool
	// whole says that clients may make and delete such objects, and not only
	// change those that there are.
	whole bool
	empty func() object
	// categories are what kubectl get finds it by, as "all".
	categories []string
}

// kinds by resource. The pod is changed by nothing but labels and
// annotations, and the namespaces stay.
var kinds = map[string]kind{
	"pods":       {name: "Pod", short: "po", namespaced: true, categories: []string{"all"}, empty: func() object { return &corev1.Pod{} }},
	"configmaps": {name: "ConfigMap", short: "cm", namespaced: true, whole: true, empty: func() object { return &corev1.ConfigMap{} }},
	"namespaces": {name: "Namespace", short: "ns", empty: func() object { return &corev1.Namespace{} }},
}

// writable says whether a method changes such an object (named) or such a
// collection.
func (k kind) writable(method string, named bool) bool {
	switch method {
	case http.MethodPut, http.MethodPatch:
		return named && k.namespaced
	case http.MethodPost:
		return !named && k.whole
	case http.MethodDelete:
		return named && k.whole
	}
	return false
}

// codecs read objects: strict ones refuse fields that there are not.
type codecs struct {
	lenient, strict serializer.CodecFactory
}

func newCodecs() (codecs, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, authenticationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return codecs{}, err
		}
	}
	return codecs{
		lenient: serializer.NewCodecFactory(scheme),
		strict:  serializer.NewCodecFactory(scheme, serializer.EnableStrict),
	}, nil
}

// resourceOf names the collection that an object belongs to.
func resourceOf(o object) string {
	switch o.(type) {
	case *corev1.Pod:
		return "pods"
	case *corev1.ConfigMap:
		return "configmaps"
	default:
		return "namespaces"
	}
}

// firstObjects are there from the start.
func firstObjects(now metav1.Time, address string) []object {
	namespace := func(name string) object {
		return &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: now, Labels: map[string]string{"kubernetes.io/metadata.name": name}},
			Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		}
	}
	condition := func(t corev1.PodConditionType) corev1.PodCondition {
		return corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now}
	}
	started := true
	return []object{namespace("default"), namespace("kube-system"), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: Pod, Namespace: Namespace, CreationTimestamp: now,
			Labels: map[string]string{"app.kubernetes.io/name": Pod},
			Annotations: map[string]string{
				"kasgen/stand-in": "a pod of kasgen's built-in cluster at " + address + ": its processes run as the user who started it",
			},
		},
		Spec: corev1.PodSpec{
			NodeName: "kasgen-lab", RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{
				Name: Container, Image: "kasgen/stand-in",
				Stdin: true, // attach may write
				Ports: []corev1.ContainerPort{{Name: "echo", ContainerPort: ContainerPort, Protocol: corev1.ProtocolTCP}},
			}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &now, HostIP: "127.0.0.1", PodIP: "127.0.0.1",
			Conditions: []corev1.PodCondition{
				condition(corev1.PodScheduled), condition(corev1.PodInitialized),
				condition(corev1.ContainersReady), condition(corev1.PodReady),
			},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: Container, Image: "kasgen/stand-in", ImageID: "kasgen/stand-in", Ready: true, Started: &started,
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
			}},
		},
	}}
}

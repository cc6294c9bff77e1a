package cluster

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
)

func column(name, kind string, priority int32) metav1.TableColumnDefinition {
	d := metav1.TableColumnDefinition{Name: name, Type: kind, Priority: priority}
	if name == "Name" {
		d.Format = "name"
	}
	return d
}

// columns are those of kubectl get, by resource; priority 1 is -o wide.
func columns(resource string) []metav1.TableColumnDefinition {
	name, age := column("Name", "string", 0), column("Age", "string", 0)
	switch resource {
	case "pods":
		return []metav1.TableColumnDefinition{name, column("Ready", "string", 0), column("Status", "string", 0),
			column("Restarts", "integer", 0), age, column("IP", "string", 1), column("Node", "string", 1)}
	case "configmaps":
		return []metav1.TableColumnDefinition{name, column("Data", "integer", 0), age}
	default:
		return []metav1.TableColumnDefinition{name, column("Status", "string", 0), age}
	}
}

func cells(o object) []any {
	age := duration.HumanDuration(time.Since(o.GetCreationTimestamp().Time))
	switch o := o.(type) {
	case *corev1.Pod:
		ready := 0
		for _, c := range o.Status.ContainerStatuses {
			if c.Ready {
				ready++
			}
		}
		return []any{o.Name, fmt.Sprintf("%d/%d", ready, len(o.Spec.Containers)), string(o.Status.Phase), 0, age,
			o.Status.PodIP, o.Spec.NodeName}
	case *corev1.ConfigMap:
		return []any{o.Name, len(o.Data) + len(o.BinaryData), age}
	case *corev1.Namespace:
		return []any{o.Name, string(o.Status.Phase), age}
	default:
		return []any{o.GetName()}
	}
}

// table is the form in which kubectl get prints objects.
func (a *apiServer) table(resource string, objects []object, version string, rows metav1.IncludeObjectPolicy) *metav1.Table {
	t := &metav1.Table{
		TypeMeta:          metav1.TypeMeta{Kind: "Table", APIVersion: "meta.k8s.io/v1"},
		ListMeta:          metav1.ListMeta{ResourceVersion: version},
		ColumnDefinitions: columns(resource),
		Rows:              []metav1.TableRow{},
	}
	for _, o := range objects {
		row := metav1.TableRow{Cells: cells(o)}
		switch rows {
		case metav1.IncludeNone:
		case metav1.IncludeObject:
			row.Object = runtime.RawExtension{Object: withKind(o)}
		default:
			row.Object = runtime.RawExtension{Object: partial(o)}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func partial(o object) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"}}
	switch o := o.DeepCopyObject().(type) {
	case *corev1.Pod:
		p.ObjectMeta = o.ObjectMeta
	case *corev1.ConfigMap:
		p.ObjectMeta = o.ObjectMeta
	case *corev1.Namespace:
		p.ObjectMeta = o.ObjectMeta
	}
	return p
}

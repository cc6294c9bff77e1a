package cluster

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// form is how a client wants objects.
type form struct {
	table bool
	rows  metav1.IncludeObjectPolicy // of a table
}

// wanted picks the first acceptable form, as kubectl orders them.
func wanted(r *http.Request) (form, error) {
	accept := r.Header.Get("Accept")
	if accept == "" {
		return form{}, nil
	}
	for _, clause := range strings.Split(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(strings.TrimSpace(clause))
		if err != nil || mediaType != "application/json" && mediaType != "*/*" && mediaType != "application/*" {
			continue
		}
		switch {
		case params["as"] == "":
			return form{}, nil
		case params["as"] == "Table" && params["v"] == "v1":
			rows := metav1.IncludeObjectPolicy(r.URL.Query().Get("includeObject"))
			if rows == "" {
				rows = metav1.IncludeMetadata
			}
			return form{table: true, rows: rows}, nil
		}
	}
	return form{}, errNotAcceptable(accept)
}

// selector is a label selector and a field selector.
type selector struct {
	labels labels.Selector
	fields fields.Selector
}

func selected(r *http.Request, t target) (selector, error) {
	q := r.URL.Query()
	byLabel, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		return selector{}, apierrors.NewBadRequest("labelSelector: " + err.Error())
	}
	byField, err := fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil {
		return selector{}, apierrors.NewBadRequest("fieldSelector: " + err.Error())
	}
	for _, requirement := range byField.Requirements() {
		switch requirement.Field {
		case "metadata.name", "metadata.namespace":
		case "status.phase", "spec.nodeName":
			if t.resource == "pods" {
				continue
			}
			fallthrough
		default:
			return selector{}, apierrors.NewBadRequest("field label not supported: " + requirement.Field)
		}
	}
	if t.name != "" { // the old form of a watch on one object
		byField = fields.AndSelectors(byField, fields.OneTermEqualSelector("metadata.name", t.name))
	}
	return selector{byLabel, byField}, nil
}

func (s selector) matches(o object) bool {
	values := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	if p, ok := o.(*corev1.Pod); ok {
		values["status.phase"], values["spec.nodeName"] = string(p.Status.Phase), p.Spec.NodeName
	}
	return s.labels.Matches(labels.Set(o.GetLabels())) && s.fields.Matches(values)
}

// withKind is a copy of o that says what it is; the store's objects do not.
func withKind(o object) object {
	o = o.DeepCopyObject().(object)
	o.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kinds[resourceOf(o)].name))
	return o
}

func (a *apiServer) get(w http.ResponseWriter, r *http.Request, t target) {
	f, err := wanted(r)
	if err != nil {
		writeStatus(w, err)
		return
	}
	o, err := a.store.get(t)
	if err != nil {
		writeStatus(w, err)
		return
	}
	if f.table {
		writeJSON(w, http.StatusOK, a.table(t.resource, []object{o}, o.GetResourceVersion(), f.rows))
		return
	}
	writeJSON(w, http.StatusOK, withKind(o))
}

func (a *apiServer) list(w http.ResponseWriter, r *http.Request, t target) {
	f, err := wanted(r)
	if err != nil {
		writeStatus(w, err)
		return
	}
	match, err := selected(r, t)
	if err != nil {
		writeStatus(w, err)
		return
	}
	all, version := a.store.list(t.resource, t.namespace)
	found := []object{}
	for _, o := range all {
		if match.matches(o) {
			found = append(found, o)
		}
	}
	if f.table {
		writeJSON(w, http.StatusOK, a.table(t.resource, found, strconv.FormatInt(version, 10), f.rows))
		return
	}
	// Items of a typed list say nothing of their kind: the list does.
	writeJSON(w, http.StatusOK, struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ListMeta `json:"metadata"`
		Items           []object        `json:"items"`
	}{
		metav1.TypeMeta{Kind: kinds[t.resource].name + "List", APIVersion: "v1"},
		metav1.ListMeta{ResourceVersion: strconv.FormatInt(version, 10)},
		found,
	})
}

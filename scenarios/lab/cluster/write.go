package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// largestBody is the limit of a request in bytes. kube-apiserver's is 3 MiB;
// here an object of that size must fit with room around it.
const largestBody = 8 << 20

// readBody reads all of a body or says which limit it is over.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, largestBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge(tooLarge.Limit)
	case err != nil:
		return nil, apierrors.NewBadRequest("reading the body: " + err.Error())
	}
	return body, nil
}

func (a *apiServer) write(w http.ResponseWriter, r *http.Request, t target) {
	body, err := readBody(r)
	if err != nil {
		writeStatus(w, err)
		return
	}
	code := http.StatusOK
	var done object
	switch r.Method {
	case http.MethodPost:
		code = http.StatusCreated
		done, err = a.post(r, t, body)
	case http.MethodPut:
		done, err = a.put(r, t, body)
	case http.MethodPatch:
		done, err = a.patch(r, t, body)
	case http.MethodDelete:
		if done, err = a.store.delete(t); err == nil {
			writeJSON(w, http.StatusOK, metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
				Details: &metav1.StatusDetails{Name: t.name, Kind: t.resource, UID: done.GetUID()},
			})
			return
		}
	}
	if err != nil {
		writeStatus(w, err)
		return
	}
	writeJSON(w, code, withKind(done))
}

// decode reads an object in JSON, YAML or protobuf, as clients send them.
func (a *apiServer) decode(r *http.Request, t target, body []byte) (object, error) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch mediaType {
	case "", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf":
	default:
		return nil, errMediaType(r.Header.Get("Content-Type"))
	}
	into := kinds[t.resource].empty()
	gvk := corev1.SchemeGroupVersion.WithKind(kinds[t.resource].name)
	codecs := a.codecs.lenient
	if r.URL.Query().Get("fieldValidation") == metav1.FieldValidationStrict {
		codecs = a.codecs.strict
	}
	got, _, err := codecs.UniversalDeserializer().Decode(body, &gvk, into)
	if err != nil {
		return nil, apierrors.NewBadRequest("reading the object: " + err.Error())
	}
	o, ok := got.(object)
	if !ok || resourceOf(o) != t.resource || got.GetObjectKind().GroupVersionKind() != gvk && !got.GetObjectKind().GroupVersionKind().Empty() {
		return nil, apierrors.NewBadRequest("the object in the body is not a " + gvk.Kind)
	}
	o.GetObjectKind().SetGroupVersionKind(gvk.GroupVersion().WithKind(""))
	if ns := o.GetNamespace(); ns != "" && ns != t.namespace {
		return nil, apierrors.NewBadRequest("the namespace of the object does not match the namespace of the request")
	}
	o.SetNamespace(t.namespace)
	return o, nil
}

func (a *apiServer) post(r *http.Request, t target, body []byte) (object, error) {
	if _, err := a.store.get(target{resource: "namespaces", name: t.namespace}); err != nil {
		return nil, err
	}
	o, err := a.decode(r, t, body)
	if err != nil {
		return nil, err
	}
	if o.GetName() == "" && o.GetGenerateName() == "" {
		return nil, apierrors.NewBadRequest("name or generateName is required")
	}
	if o.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	return a.store.create(o)
}

func (a *apiServer) put(r *http.Request, t target, body []byte) (object, error) {
	o, err := a.decode(r, t, body)
	if err != nil {
		return nil, err
	}
	return a.replace(t, o)
}

// replace stores o in the place of t. Of the pod only labels and annotations
// are taken: its processes are what they are.
func (a *apiServer) replace(t target, o object) (object, error) {
	if o.GetName() != t.name {
		return nil, apierrors.NewBadRequest("the name of the object does not match the name on the URL")
	}
	before, err := a.store.get(t)
	if err != nil {
		return nil, err
	}
	if pod, ok := before.(*corev1.Pod); ok {
		kept := pod.DeepCopy()
		kept.Labels, kept.Annotations = o.GetLabels(), o.GetAnnotations()
		kept.ResourceVersion = o.GetResourceVersion()
		o = kept
	}
	return a.store.update(o)
}

func (a *apiServer) patch(r *http.Request, t target, body []byte) (object, error) {
	before, err := a.store.get(t)
	if err != nil {
		return nil, err
	}
	original, err := json.Marshal(withKind(before))
	if err != nil {
		return nil, err
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var patched []byte
	switch types.PatchType(mediaType) {
	case types.MergePatchType:
		patched, err = jsonpatch.MergePatch(original, body)
	case types.StrategicMergePatchType:
		patched, err = strategicpatch.StrategicMergePatch(original, body, kinds[t.resource].empty())
	default:
		return nil, errMediaType(r.Header.Get("Content-Type"))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("applying the patch: " + err.Error())
	}
	r.Header.Set("Content-Type", "application/json") // what it is now
	o, err := a.decode(r, t, patched)
	if err != nil {
		return nil, err
	}
	return a.replace(t, o)
}

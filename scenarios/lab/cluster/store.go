package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// remembered is how many changes a watch may be behind. Objects may have
// several megabytes, so it is not many.
const remembered = 128

// store holds the objects and the last changes. What is in it is never
// changed in place, so what it returns must not be either.
type store struct {
	mu      sync.Mutex
	version int64
	objects map[target]object
	changes []change
	wake    chan struct{} // closed at each change
}

// change is one event, with the object before it, so that a selector can tell
// what has left it.
type change struct {
	version  int64
	resource string
	kind     watch.EventType
	object   object
	before   object // nil for an added one
}

func newStore() *store {
	return &store{objects: map[target]object{}, wake: make(chan struct{})}
}

func keyOf(o object) target {
	return target{resource: resourceOf(o), namespace: o.GetNamespace(), name: o.GetName()}
}

func groupResource(resource string) schema.GroupResource {
	return schema.GroupResource{Resource: resource}
}

func (s *store) get(t target) (object, error) {
	t.subresource = ""
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[t]
	if !ok {
		return nil, apierrors.NewNotFound(groupResource(t.resource), t.name)
	}
	return o, nil
}

// list returns the objects by namespace and name, and the version as of which
// they are all there is. An empty namespace is all of them.
func (s *store) list(resource, namespace string) ([]object, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []object{}
	for key, o := range s.objects {
		if key.resource == resource && (namespace == "" || key.namespace == namespace) {
			found = append(found, o)
		}
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := keyOf(found[i]), keyOf(found[j])
		return a.namespace+"/"+a.name < b.namespace+"/"+b.name
	})
	return found, s.version
}

// create takes o over.
func (s *store) create(o object) (object, error) {
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(o.GetGenerateName() + strings.ToLower(rand.Text()[:5]))
	}
	key := keyOf(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; ok {
		return nil, apierrors.NewAlreadyExists(groupResource(key.resource), key.name)
	}
	if o.GetCreationTimestamp().Time.IsZero() {
		o.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	}
	o.SetUID(newUID())
	s.changed(watch.Added, o, nil)
	return o, nil
}

// update takes o over. A resource version in it must be the present one.
func (s *store) update(o object) (object, error) {
	key := keyOf(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.objects[key]
	if !ok {
		return nil, apierrors.NewNotFound(groupResource(key.resource), key.name)
	}
	if v := o.GetResourceVersion(); v != "" && v != before.GetResourceVersion() {
		return nil, apierrors.NewConflict(groupResource(key.resource), key.name,
			fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
	}
	o.SetUID(before.GetUID())
	o.SetCreationTimestamp(before.GetCreationTimestamp())
	s.changed(watch.Modified, o, before)
	return o, nil
}

func (s *store) delete(t target) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.objects[t]
	if !ok {
		return nil, apierrors.NewNotFound(groupResource(t.resource), t.name)
	}
	// The event of a deletion carries the version of the deletion.
	last := before.DeepCopyObject().(object)
	s.changed(watch.Deleted, last, before)
	return last, nil
}

func (s *store) changed(kind watch.EventType, o, before object) {
	s.version++
	o.SetResourceVersion(strconv.FormatInt(s.version, 10))
	key := keyOf(o)
	if kind == watch.Deleted {
		delete(s.objects, key)
	} else {
		s.objects[key] = o
	}
	if len(s.changes) >= remembered {
		s.changes = append(s.changes[:0:0], s.changes[1:]...)
	}
	s.changes = append(s.changes, change{s.version, key.resource, kind, o, before})
	close(s.wake)
	s.wake = make(chan struct{})
}

// since returns the changes after version, the version as of which they are
// all, and what is closed at the next one.
func (s *store) since(version int64) ([]change, int64, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.changes) > 0 && version < s.changes[0].version-1 {
		return nil, 0, nil, apierrors.NewResourceExpired(
			fmt.Sprintf("too old resource version: %d (%d)", version, s.changes[0].version-1))
	}
	var after []change
	for _, c := range s.changes {
		if c.version > version {
			after = append(after, c)
		}
	}
	return after, s.version, s.wake, nil
}

func newUID() types.UID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return types.UID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

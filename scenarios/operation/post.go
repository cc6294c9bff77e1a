package operation

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bodySize is the size of the posted request body in bytes: the most that
// kube-apiserver reads.
const bodySize = 3 << 20

// post makes an object whose request body has bodySize bytes, compares what
// comes back, and deletes it.
//
// A real API server keeps no ConfigMap that large. It says so with 422 after
// it has read and decoded the whole body, which proves the way there as well
// as an answer would: a body that lost a byte is no JSON.
func post(ctx context.Context, c *client) error {
	body, object, err := largeObject()
	if err != nil {
		return fmt.Errorf("making the object: %w", err)
	}
	answer := &corev1.ConfigMap{}
	err = c.rest.Post().Namespace(c.Namespace).Resource("configmaps").
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Into(answer)
	if tooLong(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("posting %d bytes: %w", len(body), err)
	}
	return errors.Join(sameData(answer, object), c.remove(ctx, object.Name))
}

// remove deletes a ConfigMap, also when ctx has ended.
func (c *client) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	err := c.rest.Delete().Namespace(c.Namespace).Resource("configmaps").Name(name).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting configmap %s: %w", name, err)
	}
	return nil
}

func newName() string { return "kasgen-" + strings.ToLower(rand.Text()[:10]) }

func largeObject() ([]byte, *corev1.ConfigMap, error) {
	object := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: newName()},
		Data:       map[string]string{"payload": ""},
	}
	empty, err := json.Marshal(object)
	if err != nil {
		return nil, nil, err
	}
	random := make([]byte, bodySize)
	_, _ = rand.Read(random) // never fails
	// Base64 needs no escaping in JSON, so the sizes add up.
	object.Data["payload"] = base64.StdEncoding.EncodeToString(random)[:bodySize-len(empty)]
	body, err := json.Marshal(object)
	if err == nil && len(body) != bodySize {
		err = fmt.Errorf("the body has %d bytes, not %d", len(body), bodySize)
	}
	return body, object, err
}

func tooLong(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsInvalid(err) && errors.As(err, &status) && strings.Contains(status.Status().Message, "Too long")
}

func sameData(got, sent *corev1.ConfigMap) error {
	switch payload := got.Data["payload"]; {
	case got.Name != sent.Name:
		return fmt.Errorf("posted configmap %s, and %s was made", sent.Name, got.Name)
	case got.UID == "" || got.ResourceVersion == "":
		return errors.New("the answer has neither uid nor resource version: nothing was made")
	case payload != sent.Data["payload"]:
		return fmt.Errorf("the answer's payload of %d bytes is not the posted one of %d", len(payload), len(sent.Data["payload"]))
	}
	return nil
}

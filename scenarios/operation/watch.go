package operation

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// watchEvents opens a watch on an object that is not there, then makes it,
// changes it and deletes it, and sees each before it does the next: events
// that are held back until the watch ends do not pass.
func watchEvents(ctx context.Context, c *client) (err error) {
	name := newName()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	events, err := c.rest.Get().Namespace(c.Namespace).Resource("configmaps").
		// From whatever version the server has at hand: the object is made later,
		// and a server that must be sure of the newest may say to try again.
		VersionedParams(&metav1.ListOptions{Watch: true, ResourceVersion: "0", FieldSelector: "metadata.name=" + name}, c.parameters).
		Watch(watching)
	if err != nil {
		return fmt.Errorf("opening the watch: %w", err)
	}
	defer func() {
		events.Stop()
		for range events.ResultChan() { // until the decoder has ended
		}
	}()
	defer func() { err = errors.Join(err, c.remove(ctx, name)) }()

	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"step": "added"}}
	maps := func() *corev1.ConfigMap { return &corev1.ConfigMap{} }
	made := maps()
	if err := c.rest.Post().Namespace(c.Namespace).Resource("configmaps").Body(object).Do(ctx).Into(made); err != nil {
		return fmt.Errorf("making configmap %s: %w", name, err)
	}
	if err := expect(ctx, events, watch.Added, name, "added"); err != nil {
		return err
	}
	made.Data["step"] = "modified"
	if err := c.rest.Put().Namespace(c.Namespace).Resource("configmaps").Name(name).Body(made).Do(ctx).Into(maps()); err != nil {
		return fmt.Errorf("changing configmap %s: %w", name, err)
	}
	if err := expect(ctx, events, watch.Modified, name, "modified"); err != nil {
		return err
	}
	if err := c.remove(ctx, name); err != nil {
		return err
	}
	return expect(ctx, events, watch.Deleted, name, "modified")
}

func expect(ctx context.Context, events watch.Interface, kind watch.EventType, name, step string) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("no %s event: %w", kind, ctx.Err())
	case event, ok := <-events.ResultChan():
		if !ok {
			return fmt.Errorf("the watch ended before its %s event", kind)
		}
		if failed, ok := event.Object.(*metav1.Status); ok {
			return fmt.Errorf("in the place of the %s event: %w", kind, apierrors.FromObject(failed))
		}
		got, ok := event.Object.(*corev1.ConfigMap)
		if !ok {
			return fmt.Errorf("a %s event with a %T in the place of the %s event", event.Type, event.Object, kind)
		}
		if event.Type != kind || got.Name != name || got.Data["step"] != step {
			return fmt.Errorf("a %s event of %s at step %q, in the place of %s of %s at step %q",
				event.Type, got.Name, got.Data["step"], kind, name, step)
		}
		return nil
	}
}

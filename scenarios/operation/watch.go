package operation

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// watchEvents asks for a watch on an object that is not there, then makes it,
// changes it and deletes it, and sees each before it does the next: events
// that are held back until the watch ends do not pass.
//
// The object is made as soon as the request for the watch has been written, not
// when the head of the answer is there: the head may come with the first event,
// as it does over HTTP/2 and TLS from nginx 1.22.1, and who runs kubectl get -w
// sees no difference.
func watchEvents(ctx context.Context, c *client) (err error) {
	name := newName()
	opening := c.openWatch(ctx, name)
	defer opening.stop()
	if err := opening.asked(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.remove(ctx, name)) }()

	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"step": "added"}}
	maps := func() *corev1.ConfigMap { return &corev1.ConfigMap{} }
	made := maps()
	if err := c.rest.Post().Namespace(c.Namespace).Resource("configmaps").Body(object).Do(ctx).Into(made); err != nil {
		return fmt.Errorf("making configmap %s: %w", name, err)
	}
	events, err := opening.answer(ctx)
	if err != nil {
		return err
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

// opening is a watch that has been asked for and may not have been answered.
type opening struct {
	written  chan struct{} // closed when the request has been sent
	answered chan struct{} // closed when what follows is set
	events   watch.Interface
	err      error
	cancel   context.CancelFunc
}

// openWatch asks for a watch on a ConfigMap. The caller must call stop.
func (c *client) openWatch(ctx context.Context, name string) *opening {
	o := &opening{written: make(chan struct{}), answered: make(chan struct{})}
	ctx, o.cancel = context.WithCancel(ctx)
	written := sync.OnceFunc(func() { close(o.written) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written() }})
	go func() {
		defer close(o.answered)
		o.events, o.err = c.rest.Get().Namespace(c.Namespace).Resource("configmaps").
			// From whatever version the server has at hand: the object is made later,
			// and a server that must be sure of the newest may say to try again.
			VersionedParams(&metav1.ListOptions{Watch: true, ResourceVersion: "0", FieldSelector: "metadata.name=" + name}, c.parameters).
			Watch(ctx)
	}()
	return o
}

// asked returns when the request is on its way, or has failed.
func (o *opening) asked(ctx context.Context) error {
	select {
	case <-o.written:
		return nil
	case <-o.answered:
		_, err := o.answer(ctx)
		return err
	case <-ctx.Done():
		return fmt.Errorf("asking for the watch: %w", ctx.Err())
	}
}

// answer waits for the head of the answer.
func (o *opening) answer(ctx context.Context) (watch.Interface, error) {
	select {
	case <-o.answered:
	case <-ctx.Done():
		return nil, fmt.Errorf("opening the watch: %w", ctx.Err())
	}
	if o.err != nil {
		return nil, fmt.Errorf("opening the watch: %w", o.err)
	}
	return o.events, nil
}

// stop ends the watch and returns when it has ended.
func (o *opening) stop() {
	o.cancel()
	<-o.answered
	if o.err != nil {
		return
	}
	o.events.Stop()
	for range o.events.ResultChan() { // until the decoder has ended
	}
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

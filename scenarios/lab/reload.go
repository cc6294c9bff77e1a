package lab

import (
	"context"

	kasgenruntime "kasgen/runtime"
	"kasgen/runtime/native"
	"kasgen/runtime/state"
)

// Reload lets another bundle take the place of what runs, as SIGHUP does after
// its directory has been written again. Agents and streams are left alone.
func (l *Lab) Reload(ctx context.Context, dir string) error {
	b, err := kasgenruntime.Read(dir, kasgenruntime.All, "")
	if err != nil {
		return err
	}
	if err := b.Complete(ctx); err != nil {
		return err
	}
	found, err := findNames(b)
	if err != nil {
		return err
	}
	if _, err := state.Ensure(b.Development(l.redirect.File(b.Lock.StateDir))); err != nil {
		return err
	}
	b.UseNative(l.scratch)
	if _, err := l.running.Reload(ctx, b, l.host, l.host); err != nil {
		return err
	}
	l.bundle, l.names = b, found
	return l.meet(ctx, Options{})
}

// Listener is where a listener of the bundle, by the address in its file, is.
func (l *Lab) Listener(address string) (string, error) { return l.listener(address) }

func (l *Lab) listener(address string) (string, error) {
	if l.scratch != "" {
		return native.Reach(address), nil
	}
	return l.redirect.Address(address)
}

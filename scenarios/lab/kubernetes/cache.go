package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// cacheDir holds what was built of a version of a command, and the lock of
// those who build it.
func cacheDir(command, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache directory: %w", err)
	}
	return filepath.Join(cache, "kasgen", command+"-"+version), nil
}

// cached is the program in the cache. One of another version, or one that does
// not run, is an error: somebody else's hand was in there.
func (b builder) cached(ctx context.Context) (Program, error) {
	return b.exactly(ctx, filepath.Join(b.dir, b.command))
}

func (b builder) exactly(ctx context.Context, path string) (Program, error) {
	p, err := b.inspect(ctx, path)
	if err == nil && p.Version != b.version {
		err = fmt.Errorf("%s is %s, not %s", path, p.Version, b.version)
	}
	if err != nil {
		return Program{}, err
	}
	return p, nil
}

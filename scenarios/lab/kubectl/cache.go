package kubectl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// cacheDir holds what was built of Version: kubectl, and the lock of those
// who build it.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache directory: %w", err)
	}
	return filepath.Join(cache, "kasgen", "kubectl-"+Version), nil
}

// cached is the kubectl in dir. One of another version, or one that does not
// run, is an error: somebody else's hand was in there.
func cached(ctx context.Context, dir string) (Kubectl, error) {
	return exactly(ctx, filepath.Join(dir, "kubectl"))
}

func exactly(ctx context.Context, path string) (Kubectl, error) {
	k, err := inspect(ctx, path)
	if err == nil && k.Version != Version {
		err = fmt.Errorf("%s is %s, not %s", path, k.Version, Version)
	}
	if err != nil {
		return Kubectl{}, err
	}
	return k, nil
}

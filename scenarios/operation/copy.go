package operation

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// copySize is the size of the copied file in bytes.
const copySize = 10 << 20

// copyName is its name in the archive: longer than a ustar header's field
// would be no test of the path, so it is plain.
const copyName = "payload"

// inDirectory runs work with a new directory of the pod, and removes it.
func (c *client) inDirectory(ctx context.Context, work func(dir string) error) (err error) {
	out, err := c.must(ctx, []string{"mktemp", "-d"}, nil)
	if err != nil {
		return fmt.Errorf("making a directory in the pod: %w", err)
	}
	dir := strings.TrimSpace(out)
	if dir == "" {
		return errors.New("making a directory in the pod: mktemp printed nothing")
	}
	defer func() {
		// Also when ctx has ended: the pod is somebody's.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		if _, e := c.must(ctx, []string{"rm", "-rf", dir}, nil); e != nil {
			err = errors.Join(err, fmt.Errorf("removing %s from the pod: %w", dir, e))
		}
	}()
	return work(dir)
}

// copyTo copies a file of random bytes to the pod as kubectl cp does, with
// tar, and has it hashed there.
func copyTo(ctx context.Context, c *client) error {
	payload := make([]byte, copySize)
	_, _ = rand.Read(payload) // never fails
	hash := sha256.Sum256(payload)
	return c.inDirectory(ctx, func(dir string) error {
		archive, err := pack(payload)
		if err != nil {
			return fmt.Errorf("packing the file: %w", err)
		}
		if _, err := c.must(ctx, []string{"tar", "-xmf", "-", "-C", dir}, archive); err != nil {
			return fmt.Errorf("copying to the pod: %w", err)
		}
		out, err := c.must(ctx, shell(`wc -c < "$1" && sha256sum < "$1"`, dir+"/"+copyName), nil)
		if err != nil {
			return fmt.Errorf("hashing the copy: %w", err)
		}
		return sameFile(out, copySize, hash)
	})
}

// copyFrom has a file of random bytes made and hashed in the pod, copies it
// as kubectl cp does, and hashes it here.
func copyFrom(ctx context.Context, c *client) error {
	return c.inDirectory(ctx, func(dir string) error {
		out, err := c.must(ctx, shell(`head -c "$2" /dev/urandom > "$1" && wc -c < "$1" && sha256sum < "$1"`,
			dir+"/"+copyName, strconv.Itoa(copySize)), nil)
		if err != nil {
			return fmt.Errorf("making a file in the pod: %w", err)
		}
		var archive bytes.Buffer
		var stderr limited
		code, err := c.exec(ctx, command{args: []string{"tar", "cf", "-", "-C", dir, copyName}, stdout: &archive, stderr: &stderr})
		if err != nil {
			return fmt.Errorf("copying from the pod: %w", err)
		}
		if code != 0 {
			return fmt.Errorf("copying from the pod: tar ended with exit code %d: %s", code, stderr.text)
		}
		size, hash, err := unpack(&archive)
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		return sameFile(out, size, hash)
	})
}

// sameFile compares what wc and sha256sum printed in the pod with a size and
// a hash from here.
func sameFile(printed string, size int64, hash [sha256.Size]byte) error {
	fields := strings.Fields(printed)
	if len(fields) < 2 {
		return fmt.Errorf("wc and sha256sum printed %q", printed)
	}
	if fields[0] != strconv.FormatInt(size, 10) {
		return fmt.Errorf("the file has %s bytes in the pod and %d here", fields[0], size)
	}
	if size != copySize {
		return fmt.Errorf("the file has %d bytes, not %d", size, copySize)
	}
	if here := hex.EncodeToString(hash[:]); fields[1] != here {
		return fmt.Errorf("the file's SHA-256 is %s in the pod and %s here", fields[1], here)
	}
	return nil
}

func pack(payload []byte) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: copyName, Mode: 0o600, Size: int64(len(payload)), ModTime: time.Now()}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(payload); err != nil {
		return nil, err
	}
	return &archive, w.Close()
}

// unpack reads an archive of exactly one file, to its end.
func unpack(archive io.Reader) (size int64, hash [sha256.Size]byte, err error) {
	r := tar.NewReader(archive)
	header, err := r.Next()
	if err != nil {
		return 0, hash, err
	}
	if header.Name != copyName || header.Typeflag != tar.TypeReg {
		return 0, hash, fmt.Errorf("it holds %q", header.Name)
	}
	sum := sha256.New()
	if size, err = io.Copy(sum, r); err != nil {
		return 0, hash, err
	}
	switch more, err := r.Next(); {
	case err == nil:
		return 0, hash, fmt.Errorf("after one file it holds %q too", more.Name)
	case !errors.Is(err, io.EOF):
		return 0, hash, fmt.Errorf("it does not end after one file: %w", err)
	}
	return size, [sha256.Size]byte(sum.Sum(nil)), nil
}

package cutthrough

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func zip(p []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(p)
	w.Close()
	return b.Bytes()
}

func TestUnzip(t *testing.T) {
	t.Parallel()
	random := make([]byte, 100<<10)
	rand.Read(random)
	zipped := zip(random)
	changed := func(at int) []byte {
		p := bytes.Clone(zipped)
		p[(at+len(p))%len(p)] ^= 1
		return p
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want []byte
		err  error // nil with want nil: any
	}{
		{"random", zipped, random, nil},
		{"nothing", zip(nil), []byte{}, nil},
		{"zeros", zip(make([]byte, maxMessage)), make([]byte, maxMessage), nil},
		{"one too many", zip(make([]byte, maxMessage+1)), nil, errTooLarge},
		{"two in a row", append(bytes.Clone(zipped), zip([]byte("and more"))...), append(bytes.Clone(random), "and more"...), nil},
		{"two in a row, the last empty", append(bytes.Clone(zipped), zip(nil)...), random, nil},
		{"wrong checksum", changed(-5), nil, gzip.ErrChecksum},
		{"wrong size", changed(-1), nil, gzip.ErrChecksum},
		{"wrong byte", changed(500), nil, gzip.ErrChecksum},
		{"wrong magic", changed(0), nil, gzip.ErrHeader},
		{"cut off", zipped[:len(zipped)-1], nil, io.ErrUnexpectedEOF},
		{"cut off early", zipped[:3], nil, io.ErrUnexpectedEOF},
		{"something after it", append(bytes.Clone(zipped), 1), nil, nil},
		{"said to be huge", binary.LittleEndian.AppendUint32(bytes.Clone(zipped[:len(zipped)-4]), 1<<31), nil, gzip.ErrChecksum},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newOptions()
			in := bytes.Clone(tt.in)
			got, err := parcel{data: &in, compressed: true}.open(o)
			switch {
			case tt.want == nil && (err == nil || tt.err != nil && !errors.Is(err, tt.err)):
				t.Errorf("the error is %v, not %v", err, tt.err)
			case tt.want != nil && err != nil:
				t.Error(err)
			case tt.want != nil && !bytes.Equal(got.ReadOnlyData(), tt.want):
				t.Errorf("%d other bytes than the %d that were packed", got.Len(), len(tt.want))
			}
		})
	}
}

// FuzzUnzip compares with what gzip makes of the same.
func FuzzUnzip(f *testing.F) {
	f.Add(zip([]byte("hello")))
	f.Add(append(zip(nil), zip(make([]byte, 5000))...))
	f.Add([]byte{0x1f, 0x8b})
	o := newOptions()
	o.MaxMessage = 64 << 10
	f.Fuzz(func(t *testing.T, p []byte) {
		var want []byte
		r, err := gzip.NewReader(bytes.NewReader(p))
		if err == nil {
			want, err = io.ReadAll(io.LimitReader(r, int64(o.MaxMessage)+1))
		}
		in := bytes.Clone(p)
		got, e := parcel{data: &in, compressed: true}.open(o)
		if (err == nil && len(want) <= o.MaxMessage) != (e == nil) {
			t.Fatalf("%v, where gzip says %v", e, err)
		}
		if e == nil && !bytes.Equal(got.ReadOnlyData(), want) {
			t.Error("other bytes than gzip reads")
		}
	})
}

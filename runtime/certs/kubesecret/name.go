package kubesecret

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxName is what Kubernetes allows for a key of a Secret, and for the name of
// an object.
const maxName = 253

// entryName writes a cache's key as a key of a Secret, of letters, digits,
// dots, hyphens and underlines: another byte is an underline and two hex
// digits. No two keys have one name.
func entryName(key string) string {
	var b strings.Builder
	for i := range len(key) {
		ch := key[i]
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', ch == '-', ch == '.' && i > 0:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "_%02x", ch)
		}
	}
	if b.Len() == 0 || b.Len() > maxName {
		sum := sha256.Sum256([]byte(key))
		return "_sha256_" + hex.EncodeToString(sum[:]) // after the first underline stand no hex digits: it is no other's
	}
	return b.String()
}

// leaseName is the name of a lock's Lease. Objects are named more narrowly than
// keys, so it is a digest; the lock's own name is in an annotation.
func leaseName(secret, lock string) string {
	sum := sha256.Sum256([]byte(lock))
	digest := hex.EncodeToString(sum[:8])
	return strings.TrimRight(secret[:min(len(secret), maxName-1-len(digest))], "-.") + "-" + digest
}

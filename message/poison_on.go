//go:build poison

package message

func poison(b []byte) {
	b = b[:cap(b)]
	for i := range b {
		b[i] = 0xDB
	}
}

// Poison overwrites released memory in a build with the tag "poison"; otherwise
// it does nothing.
func Poison(b []byte) { poison(b) }

package registry

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// The CRC of two texts, one after the other, follows from those of both.
func TestShift(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 200_000)
	for i := range text {
		text[i] = byte(random.Uint32())
	}
	for range 200 {
		all := text[:random.IntN(len(text))]
		at := random.IntN(len(all) + 1)
		got := times(crc32.ChecksumIEEE(all[:at]), shiftOf(len(all)-at)) ^ crc32.ChecksumIEEE(all[at:])
		if want := crc32.ChecksumIEEE(all); got != want {
			t.Fatalf("of %d and %d bytes it is %x, not %x", at, len(all)-at, got, want)
		}
	}
}

// What is packed in pieces is what is not packed, after any changes.
func TestPiecesAreTheListing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{})
		random := rand.New(rand.NewPCG(3, 4))
		for i := range 400 {
			add(t, g, fmt.Sprint("APP", i%20), fmt.Sprint("i", i))
		}
		read := func(path, accept, encoding string) string {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
			r.Header.Set("Accept", accept)
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if encoding == "" {
				return w.Body.String()
			}
			in, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			in.Multistream(false) // one member is all
			text, err := io.ReadAll(in)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if len(text) < 5*w.Body.Len() {
				t.Errorf("%s: %d bytes are packed into %d", path, len(text), w.Body.Len())
			}
			return string(text)
		}
		for range 30 {
			for _, accept := range []string{"application/json", "application/xml"} {
				if read("/eureka/apps", accept, "gzip") != read("/eureka/apps", accept, "") {
					t.Fatalf("the packed listing is another, in %s", accept)
				}
				packed, plain := read("/eureka/apps/delta", accept, "gzip"), read("/eureka/apps/delta", accept, "")
				_, packed, _ = strings.Cut(packed, "apps__hashcode") // what is before counts deltas
				_, plain, _ = strings.Cut(plain, "apps__hashcode")
				if packed != plain {
					t.Fatalf("the packed delta is another, in %s", accept)
				}
			}
			i := random.IntN(400)
			k := key{fmt.Sprint("APP", i%20), fmt.Sprint("i", i)}
			switch random.IntN(3) {
			case 0:
				g.setStatus(k, OutOfService, 0, false)
			case 1:
				g.cancel(k, false)
			default:
				add(t, g, k.app, fmt.Sprint("more", random.Uint32()))
			}
		}
	})
}

package config

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutations is how many changed files the ordinary test run reads.
const mutations = 20_000

// seeds are the files of testdata that are small enough to be read often.
func seeds(tb testing.TB) [][]byte {
	tb.Helper()
	var out [][]byte
	for _, dir := range []string{"good", "bad"} {
		entries, err := os.ReadDir("testdata/" + dir)
		if err != nil {
			tb.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".yaml") {
				continue
			}
			text, err := os.ReadFile("testdata/" + dir + "/" + e.Name())
			if err != nil {
				tb.Fatal(err)
			}
			if len(text) < 8<<10 {
				out = append(out, text)
			}
		}
	}
	return out
}

// scraps are what YAML and our own forms are made of.
func scraps() []string {
	return []string{
		": ", "- ", "{", "}", "[", "]", ", ", "\t", "\n", "\r\n", "  ", "&a ", "*a", "<<: *a\n", "|\n", ">-\n", "'", `"`, `\`, "# ", "? ",
		"---\n", "...\n", "!!str ", "!x ", "%", "@", "~", "null", "true", "0x1f", "1e999", "-1", "99999999999999999999", "${", "${WORD}",
		"${PASSWORD}", "${NOT_SET}", ":-", "}", "\x00", "\x1b", "\xff", "\ufeff", "\u2028", "가", "🍜", "regex:(", "{rest...}", "/../",
		"http://", "[::1]", "10.0.0.0/8", "5s", "1GiB", "routes:\n", "services:\n", "filters:\n", "match: ", "to: ", strings.Repeat("[", 80),
		strings.Repeat("- ", 70), strings.Repeat("a", 5000),
	}
}

// mutant changes a text in one to four places.
func mutant(r *rand.Rand, all [][]byte, scraps []string) []byte {
	text := slices.Clone(all[r.IntN(len(all))])
	for range 1 + r.IntN(4) {
		if len(text) == 0 {
			break
		}
		i := r.IntN(len(text))
		j := min(len(text), i+1+r.IntN(20))
		switch r.IntN(7) {
		case 0:
			text[i] = byte(r.IntN(256))
		case 1:
			text = slices.Delete(text, i, j)
		case 2:
			text = slices.Insert(text, i, text[i:j]...)
		case 3, 4:
			text = slices.Insert(text, i, []byte(scraps[r.IntN(len(scraps))])...)
		case 5:
			text = swapped(r, text)
		default:
			other := all[r.IntN(len(all))]
			if len(other) > 0 {
				text = append(text[:i:i], other[r.IntN(len(other)):]...)
			}
		}
	}
	return text
}

// swapped exchanges two lines, which moves values to other keys.
func swapped(r *rand.Rand, text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	a, b := r.IntN(len(lines)), r.IntN(len(lines))
	lines[a], lines[b] = lines[b], lines[a]
	return bytes.Join(lines, nil)
}

// survives checks a text: no panic, findings that can be shown, and in time. A
// busy machine gets three tries at that.
func survives(t *testing.T, text []byte) {
	t.Helper()
	took := time.Hour
	for range 3 {
		began := time.Now()
		findings := examine("maru.yaml", text)
		took = min(took, time.Since(began))
		for i := range findings {
			wellFormed(t, &findings[i], text)
		}
		if took < time.Second {
			break
		}
	}
	if took >= time.Second {
		t.Errorf("it takes %v to read\n%q", took, text)
	}
}

func TestMutatedFilesAreReadOrRefused(t *testing.T) {
	t.Parallel()
	all, parts := seeds(t), scraps()
	const workers = 4
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2026))
			for range mutations / workers {
				text := mutant(r, all, parts)
				func() {
					defer func() {
						if p := recover(); p != nil {
							t.Errorf("panic: %v\n%q", p, text)
						}
					}()
					survives(t, text)
				}()
				if t.Failed() {
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzLoad(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) < 64<<10 {
			survives(t, text)
		}
	})
}

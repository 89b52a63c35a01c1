package resilience

import (
	"math"
	"testing"
	"time"
)

func TestTimeoutFields(t *testing.T) {
	t.Parallel()
	const refused = -1
	for s, want := range map[string]time.Duration{
		"1": time.Millisecond, "1500": 1500 * time.Millisecond, "0": 0, "007": 7 * time.Millisecond, "999999999999999": math.MaxInt64,
		"": refused, "-1": refused, "+1": refused, "1.5": refused, " 1": refused, "1s": refused, "1000000000000000": refused,
	} {
		if got, ok := ParseMillis(s); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for s, want := range map[string]time.Duration{
		"1n": 1, "20u": 20 * time.Microsecond, "300m": 300 * time.Millisecond, "4S": 4 * time.Second, "5M": 5 * time.Minute,
		"6H": 6 * time.Hour, "0S": 0, "00000001S": time.Second, "99999999H": math.MaxInt64,
		"": refused, "S": refused, "1": refused, "1s": refused, "-1S": refused, "+1S": refused, "1.5S": refused, " 1S": refused, "123456789S": refused,
	} {
		if got, ok := ParseGRPC(s); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	if s := string(AppendMillis(nil, 1999*time.Microsecond)); s != "1" {
		t.Error(s)
	}
	for d, want := range map[time.Duration]string{-time.Second: "0n", 250: "250n", 2 * time.Second: "2000000u", 100 * time.Hour: "360000S"} {
		if s := string(AppendGRPC(nil, d)); s != want {
			t.Errorf("%v: %s, want %s", d, s, want)
		}
	}
}

// What is written is read again, never as more time.
func FuzzTimeoutFields(f *testing.F) {
	for _, s := range []string{"1", "1500", "20S", "99999999n", "00000001H", "99999999H", "-1", "1e3", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := ParseMillis(s); ok {
			if got, again := ParseMillis(string(AppendMillis(nil, d))); !again || got > d || d-got >= time.Millisecond {
				t.Errorf("%q: %v, again %v", s, d, got)
			}
		}
		if d, ok := ParseGRPC(s); ok {
			if got, again := ParseGRPC(string(AppendGRPC(nil, d))); !again || got > d || got < d-d/1000 {
				t.Errorf("%q: %v, again %v", s, d, got)
			}
		}
	})
}

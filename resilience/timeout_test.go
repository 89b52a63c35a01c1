package resilience

import (
	"testing"
	"time"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	began := newHand().at
	o := NewTimeouts(TimeoutConfig{})
	for asked, want := range map[time.Duration]time.Duration{
		0: 15 * time.Second, time.Second: time.Second, time.Hour: 15 * time.Second, -1: 15 * time.Second,
	} {
		if got := o.Deadline(began, asked).Sub(began); got != want {
			t.Errorf("asked %v: %v", asked, got)
		}
	}
	for left, want := range map[time.Duration]time.Duration{
		15 * time.Second: 5 * time.Second, time.Second: time.Second, 0: 0, -1: 0,
	} {
		got, ok := o.Try(began, began.Add(left))
		if got != want || ok != (left > 0) {
			t.Errorf("%v left: %v %v", left, got, ok)
		}
	}
	if !o.Fits(3) || o.Fits(4) {
		t.Error("three tries of 5s fit into 15s")
	}
}

func TestTimeoutFields(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"1": time.Millisecond, "1500": 1500 * time.Millisecond, "999999999999999": 24 * time.Hour,
		"": 0, "0": 0, "-1": 0, "+1": 0, "1.5": 0, " 1": 0, "1s": 0, "1000000000000000": 0,
	} {
		if got, ok := ParseMillis(s); got != want || ok != (want > 0) {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for s, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond,
		"6n": 6, "99999999H": 24 * time.Hour, "": 0, "1": 0, "S": 0, "0S": 0, "123456789S": 0, "-1S": 0, "1h": 0,
	} {
		if got, ok := ParseGRPC(s); got != want || ok != (want > 0) {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	if s := string(AppendMillis(nil, 1999*time.Microsecond)); s != "1" {
		t.Error(s)
	}
	if s := string(AppendGRPC(nil, -time.Second)); s != "0m" {
		t.Error(s)
	}
}

// What is written is read again, never as more time, and nothing else is.
func FuzzTimeoutFields(f *testing.F) {
	for _, s := range []string{"1", "1500", "20S", "99999999n", "00000001H", "-1", "1e3", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := ParseMillis(s); ok {
			if got, again := ParseMillis(string(AppendMillis(nil, d))); d <= 0 || !again || got != d {
				t.Errorf("%q: %v, again %v", s, d, got)
			}
		}
		if d, ok := ParseGRPC(s); ok {
			got, _ := ParseGRPC(string(AppendGRPC(nil, d)))
			if d <= 0 || got > d || d-got >= time.Millisecond {
				t.Errorf("%q: %v, again %v", s, d, got)
			}
		}
	})
}

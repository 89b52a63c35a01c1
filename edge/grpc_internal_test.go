package edge

import (
	"math"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

func TestParseGRPCTimeout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"1n", 1, true},
		{"20u", 20 * time.Microsecond, true},
		{"300m", 300 * time.Millisecond, true},
		{"4S", 4 * time.Second, true},
		{"5M", 5 * time.Minute, true},
		{"6H", 6 * time.Hour, true},
		{"0S", 0, true},
		{"00000001S", time.Second, true},
		{"99999999H", math.MaxInt64, true},
		{"", 0, false},
		{"S", 0, false},
		{"1", 0, false},
		{"1s", 0, false},
		{"-1S", 0, false},
		{"+1S", 0, false},
		{"1.5S", 0, false},
		{" 1S", 0, false},
		{"123456789S", 0, false},
	}
	for _, tt := range tests {
		if got, ok := parseGRPCTimeout(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %v %v, want %v %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

// FuzzGRPCTimeout wants what we write to be read again as no more than it was.
func FuzzGRPCTimeout(f *testing.F) {
	for _, s := range []string{"1n", "99999999H", "300m", "x", "12345678u"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, ok := parseGRPCTimeout(in)
		if !ok {
			return
		}
		again, ok := parseGRPCTimeout(string(appendGRPCTimeout(nil, d)))
		if !ok || again > d || again < d-d/1000 {
			t.Errorf("%q is %v and is sent on as %v", in, d, again)
		}
	})
}

func TestIsGRPC(t *testing.T) {
	t.Parallel()
	for media, want := range map[string]bool{
		"application/grpc": true, "Application/GRPC+proto": true, "application/grpc;x=y": true,
		"application/grpc-web": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		var h message.Header
		if media != "" {
			h.AppendID(message.ContentType, media)
		}
		if got := isGRPC(&h); got != want {
			t.Errorf("%q: %v", media, got)
		}
	}
}

package filter

import (
	"math/rand/v2"
	"time"

	"github.com/maru-msa/maru/message"
)

// RequestID gives every exchange an identifier: the one a trusted peer sent in
// X-Request-Id, else a new UUIDv7. It goes to the service, back to the client,
// and into log and error documents.
type RequestID struct{}

// Filter is the constructor.
func (*RequestID) Filter(env Env) (Filter, error) {
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			id := r.X.RequestID
			if id == "" && r.X.Trusted {
				if v := r.Header.Value(message.XRequestID); validRequestID(v) {
					id = v
				}
			}
			if id == "" {
				at := r.X.Began // asking the clock costs more than all the rest
				if at.IsZero() {
					at = env.Now()
				}
				id = message.View(appendUUIDv7(r.X.Scratch(36), at, rand.Uint64(), rand.Uint64())) //nolint:gosec // an identifier, not a secret
			}
			r.Header.SetID(message.XRequestID, id)
			r.X.RequestID = id // Render puts it on an error's answer
			resp, err := next(r)
			if err == nil {
				resp.Header.SetID(message.XRequestID, id)
			}
			return resp, err
		}
	}, nil
}

// validRequestID keeps a caller's identifier harmless in logs.
func validRequestID(v string) bool {
	if v == "" || len(v) > 128 {
		return false
	}
	for i := range len(v) {
		if c := v[i]; !message.TokenOctet(c) && c != ':' && c != '/' && c != '=' && c != '@' {
			return false
		}
	}
	return true
}

// appendUUIDv7 writes a UUID of version 7 (RFC 9562 §5.7): milliseconds, then
// 74 random bits around version and variant.
func appendUUIDv7(dst []byte, now time.Time, a, b uint64) []byte {
	ms := uint64(now.UnixMilli())
	var u [16]byte
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[7] = 0x70|byte(a>>8)&0x0F, byte(a)
	for i := range 8 {
		u[8+i] = byte(b >> (56 - 8*i))
	}
	u[8] = u[8]&0x3F | 0x80
	const digits = "0123456789abcdef"
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

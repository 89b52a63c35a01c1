package edge

import (
	"testing"

	"github.com/maru-msa/maru/message"
)

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

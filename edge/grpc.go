package edge

import (
	"strings"

	"github.com/maru-msa/maru/message"
)

// isGRPC tells whether the fields are of a gRPC message: application/grpc, with
// or without a subtype such as +proto, but not gRPC-Web.
func isGRPC(h *message.Header) bool {
	const media = "application/grpc"
	v := h.Value(message.ContentType)
	if len(v) < len(media) || !strings.EqualFold(v[:len(media)], media) {
		return false
	}
	return len(v) == len(media) || v[len(media)] == '+' || v[len(media)] == ';'
}

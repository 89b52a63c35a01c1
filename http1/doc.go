// Package http1 is maru's HTTP/1.1 engine (RFC 9110, RFC 9112), towards clients
// and towards services. It refuses what is ambiguous instead of repairing it, so
// that no two readers of a message can disagree about where it ends or whom it
// is for.
//
// The flow: [Server] reads from a connection until a whole head is there and
// parses it in one pass into views of its buffer; what breaks a rule is a
// [Refusal], which ends the connection before any filter or service sees the
// message. The handler gets the request, [StripRequest] takes off what belongs
// to the client's connection alone, and a [ClientConn] writes it anew with
// framing of its own. The response comes back the same way: parsed, stripped by
// [StripResponse], written anew. Bodies stream; chunks are decoded and encoded
// again, so that neither side sees the other's framing.
//
// [CheckRequest] and [ValidAuthority] judge what came by HTTP/2 and HTTP/3 by
// the same rules. [Limits] and [ResponseLimits] bound everything.
package http1

package route

import (
	"bytes"
	"cmp"
	"net/netip"
)

// rank is how specific a route is at one host: the higher one wins (gateway §2).
// Two entries with the same rank that can take one request are a tie. The parts
// that differ most often are packed into one number.
type rank struct {
	head uint64
	tail [numTail]uint8
}

// The parts of head, from the highest bits to the lowest.
const (
	shiftPriority    = 43 // 21 bits: priority + maxPriority
	shiftHost        = 37 // 6 bits: exactHost, labels of a wildcard, 0 for none
	shiftPrefix      = 24 // 13 bits: bytes of the literal path prefix
	shiftKind        = 22 // 2 bits
	shiftLiterals    = 10 // 12 bits: literal segments
	shiftConstrained = 5  // 5 bits: {name:expr} before {name}
	shiftMethod      = 4  // 1 bit

	exactHost = 63
)

// The parts of tail, in order.
const (
	tailHeader   = 0 // numbers of exact, regex, present, absent
	tailQuery    = 4
	tailCookie   = 8
	tailClient   = 12 // prefix length
	tailScheme   = 13
	tailProtocol = 14
	tailListener = 15
	tailTime     = 16
	tailSegment  = 17
	numTail      = 18
)

// rankOf ranks a rule without its host.
func rankOf(r *rule) (k rank) {
	p := r.path
	k.head = uint64(r.priority+maxPriority)<<shiftPriority | uint64(len(p.prefix))<<shiftPrefix | uint64(p.kind)<<shiftKind |
		uint64(p.literals)<<shiftLiterals | uint64(p.constrained)<<shiftConstrained | uint64(bit(!r.methods.all()))<<shiftMethod
	countTests(k.tail[tailHeader:], r.headers)
	countTests(k.tail[tailQuery:], r.query)
	countTests(k.tail[tailCookie:], r.cookies)
	k.tail[tailClient] = widest(r.client)
	k.tail[tailScheme] = bit(r.scheme != "")
	k.tail[tailProtocol] = bit(r.protocol != "")
	k.tail[tailListener] = bit(r.listeners != nil)
	k.tail[tailTime] = bit(r.window != (windowTest{}))
	k.tail[tailSegment] = bit(r.segment != nil)
	return k
}

func countTests(k []uint8, tests []test) {
	for i := range tests {
		k[tests[i].op]++
	}
}

// widest is the length of the widest prefix, counted as IPv6, plus one.
func widest(list []netip.Prefix) uint8 {
	if list == nil {
		return 0
	}
	bits := 128
	for _, p := range list {
		n := p.Bits()
		if p.Addr().Is4() {
			n += 96
		}
		bits = min(bits, n)
	}
	return uint8(bits) + 1
}

// on ranks a rule at one of its hosts.
func (r *rule) on(h host) rank {
	k := r.rank
	if h.exact {
		k.head |= exactHost << shiftHost
	} else {
		k.head |= uint64(h.labels) << shiftHost
	}
	return k
}

// compare is above 0 when k is more specific than o.
func (k *rank) compare(o *rank) int {
	if c := cmp.Compare(k.head, o.head); c != 0 {
		return c
	}
	return bytes.Compare(k.tail[:], o.tail[:])
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

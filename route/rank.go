package route

import (
	"net/netip"
	"slices"
)

// rank is how specific a route is: compared number by number, the higher one
// wins (gateway §2). Two entries with the same rank that can take one request
// are a tie.
type rank [numRanks]int32

// What a rank compares, in this order.
const (
	rankPriority    = 0
	rankHost        = 1 // exactHost, labels of a wildcard, 0 for none
	rankPrefix      = 2 // bytes of the literal path prefix
	rankKind        = 3
	rankLiterals    = 4 // literal segments
	rankConstrained = 5 // {name:expr} before {name}
	rankMethod      = 6
	rankHeader      = 7 // numbers of exact, regex, present, absent
	rankQuery       = 11
	rankCookie      = 15
	rankClient      = 19 // prefix length
	rankScheme      = 20
	rankProtocol    = 21
	rankListener    = 22
	rankTime        = 23
	rankSegment     = 24
	numRanks        = 25
)

const exactHost = 1 << 20

func rankOf(r *rule) (k rank) {
	k[rankPriority] = int32(r.priority) //nolint:gosec // checked at compile
	k[rankPrefix] = int32(len(r.path.prefix))
	k[rankKind] = int32(r.path.kind)
	k[rankLiterals] = int32(r.path.literals)
	k[rankConstrained] = int32(r.path.constrained)
	k[rankMethod] = boolInt(!r.methods.all())
	rankTests(k[rankHeader:], r.headers)
	rankTests(k[rankQuery:], r.query)
	rankTests(k[rankCookie:], r.cookies)
	k[rankClient] = rankClients(r.client)
	k[rankScheme] = boolInt(r.scheme != "")
	k[rankProtocol] = boolInt(r.protocol != "")
	k[rankListener] = boolInt(r.listeners != nil)
	k[rankTime] = boolInt(r.window != (windowTest{}))
	k[rankSegment] = boolInt(r.segment != nil)
	return k
}

func rankTests(k []int32, tests []test) {
	for i := range tests {
		k[tests[i].op]++
	}
}

// rankClients is the length of the widest prefix, counted as IPv6, plus one.
func rankClients(list []netip.Prefix) int32 {
	if list == nil {
		return 0
	}
	widest := 128
	for _, p := range list {
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		widest = min(widest, bits)
	}
	return int32(widest) + 1 //nolint:gosec // at most 129
}

// on gives the rank of a rule at one of its hosts.
func (r *rule) on(h host) rank {
	k := r.rank
	switch {
	case h.exact:
		k[rankHost] = exactHost
	default:
		k[rankHost] = int32(h.labels) //nolint:gosec // at most maxLabels
	}
	return k
}

// compareRank orders the more specific first.
func compareRank(a, b *rank) int { return slices.Compare(b[:], a[:]) }

func boolInt(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

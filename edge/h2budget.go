package edge

import "time"

// h2Abuse is the end of a connection whose client spends our time without need.
// Its text is the reason word that is counted.
type h2Abuse string

// Error gives the reason word.
func (a h2Abuse) Error() string { return string(a) }

// The reasons, one per attack.
const (
	abuseRapidReset  h2Abuse = "h2_rapid_reset"   // CVE-2023-44487
	abuseMadeReset   h2Abuse = "h2_made_reset"    // CVE-2025-8671
	abuseContinued   h2Abuse = "h2_continuation"  // CVE-2023-45288
	abuseHeaderBomb  h2Abuse = "h2_header_bomb"   // CVE-2019-9516
	abuseControl     h2Abuse = "h2_control_flood" // CVE-2019-9512, -9513, -9515
	abuseEmptyData   h2Abuse = "h2_empty_data"    // CVE-2019-9518
	abuseWindow      h2Abuse = "h2_window_update" // CVE-2019-9511, -9517
	abuseUnreadQueue h2Abuse = "h2_unread_queue"
)

const (
	maxContinuations      = 16 // CONTINUATION frames of one header block
	maxEmptyContinuations = 2
	maxEmptyData          = 100 // DATA frames in a row that carry nothing
	bombFactor            = 8   // a block decoded to that many times the limit
	maxQueuedControl      = 64 << 10
	dataCredit            = 10 // WINDOW_UPDATE frames that each DATA of ours earns
	creditFactor          = 10 // a bucket holds at most that many times its burst
)

// bucket is a token bucket. It looks at the clock only once it is empty, so
// that an honest client costs a subtraction.
type bucket struct {
	tokens, burst float64
	rate          float64 // tokens per second
	last          time.Time
}

func newBucket(burst, rate float64) bucket {
	return bucket{tokens: burst, burst: burst, rate: rate, last: time.Now()}
}

// take takes one token and tells whether there was one.
func (b *bucket) take() bool {
	b.tokens--
	if b.tokens >= 0 {
		return true
	}
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	return b.tokens >= 0
}

// credit adds tokens that the client has earned.
func (b *bucket) credit(n float64) { b.tokens = min(b.tokens+n, creditFactor*b.burst) }

// h2Budget is what one connection may spend.
type h2Budget struct {
	clientResets bucket // RST_STREAM by the client
	ourResets    bucket // RST_STREAM that the client made us send
	control      bucket // PING, SETTINGS, PRIORITY, unknown frames
	windows      bucket // WINDOW_UPDATE
	emptyData    int    // in a row
}

func newH2Budget() h2Budget {
	return h2Budget{
		clientResets: newBucket(200, 50),
		ourResets:    newBucket(100, 10),
		control:      newBucket(100, 10),
		windows:      newBucket(100, 0),
	}
}

package filter

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// CacheStore is the memory of cache filters: stored responses in shards, each
// with a bound in bytes and S3-FIFO eviction (Yang et al., SOSP 2023): what was
// asked for once leaves through a small queue and does not push out what is
// asked for again. A hit takes a read lock and one atomic add.
//
// It survives a reload through [Env].Keep. It is safe for concurrent use, and
// starts nothing.
type CacheStore struct {
	seed    maphash.Seed
	shards  []cacheShard
	flights flightTable
	filling atomic.Int64 // bytes of bodies that are being filled
	size    int64
	refresh chan struct{} // slots of background refreshes

	mu    sync.Mutex
	modes []queryMode // in use: a purge by URL looks under each
}

const (
	maxShards     = 16
	entryOverhead = 512 // of maps, queues and structs, estimated
	maxHits       = 3   // S3-FIFO counts no further
	maxCacheVary  = 32  // variants a key
	maxRefreshes  = 64  // background refreshes at once
)

type cacheShard struct {
	mu     sync.RWMutex
	nodes  map[string]*cacheNode // by whole key
	urls   map[string]*cacheNode // by the URL part: the first of a list
	tags   map[string]map[*cacheEntry]struct{}
	small  entryQueue
	main   entryQueue
	ghosts ghostQueue
	size   int64
}

// cacheNode is a key with its variants.
type cacheNode struct {
	key      string
	url      string // the part of key before its NUL
	variants []*cacheEntry
	pass     *cacheEntry // hit-for-miss, or nil
	next     *cacheNode  // with the same URL
}

// cacheEntry is one variant, or the mark of a key that can't be shared. Its
// object is replaced, never changed, so that readers need no lock.
type cacheEntry struct {
	node       *cacheNode
	obj        *cacheObject // nil for a mark
	until      time.Time    // of a mark
	size       int64
	hits       atomic.Int32
	retry      atomic.Int64 // unix nanoseconds before which no background refresh is tried
	inMain     bool
	prev, next *cacheEntry // of the queue
}

// newCacheStore makes a store of about size bytes for objects up to object bytes.
func newCacheStore(size, object int64) *CacheStore {
	n := int64(1)
	for n < maxShards && n*2*4*object <= size {
		n *= 2
	}
	s := &CacheStore{seed: maphash.MakeSeed(), shards: make([]cacheShard, n), size: size, refresh: make(chan struct{}, maxRefreshes)}
	s.flights.open = make(map[string]*flight)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.nodes, sh.urls = make(map[string]*cacheNode), make(map[string]*cacheNode)
		sh.tags = make(map[string]map[*cacheEntry]struct{})
		sh.size = size / n
		sh.ghosts.init(int(max(64, min(sh.size/(4<<10), 1<<16))))
	}
	return s
}

// shard is by URL, so that a purge of one URL takes one lock.
func (s *CacheStore) shard(url []byte) *cacheShard {
	return &s.shards[maphash.Bytes(s.seed, url)%uint64(len(s.shards))]
}

// addMode remembers a way of reading queries.
func (s *CacheStore) addMode(m *queryMode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.modes {
		if s.modes[i].equal(m) {
			return
		}
	}
	s.modes = append(s.modes, *m)
}

// found is what the store knows of a request's key.
type found struct {
	entry *cacheEntry  // nil: no variant for this request
	obj   *cacheObject // of entry
	pass  bool         // the key can't be shared now
	vary  []cacheVary  // of the newest variant
}

// find looks a request up. key is the whole key, url its first part.
func (s *CacheStore) find(key, url []byte, rq *message.Header, now time.Time) found {
	var f found
	sh := s.shard(url)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	n := sh.nodes[string(key)]
	if n == nil {
		return f
	}
	f.pass = n.pass != nil && now.Before(n.pass.until)
	for i, e := range slices.Backward(n.variants) {

		if i == len(n.variants)-1 {
			f.vary = e.obj.vary
		}
		if varyMatches(e.obj.vary, rq) {
			f.entry, f.obj = e, e.obj
			if e.hits.Load() < maxHits {
				e.hits.Add(1)
			}
			break
		}
	}
	return f
}

// validators lists the entity tags of all variants of a key that the client can
// decode (RFC 9111 §4.3.1).
func (s *CacheStore) validators(key, url []byte, rq *message.Header) string {
	sh := s.shard(url)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	n := sh.nodes[string(key)]
	if n == nil {
		return ""
	}
	var b []byte
	for i := len(n.variants) - 1; i >= 0 && len(b) < 4<<10; i-- {
		o := n.variants[i].obj
		if o.etag == "" || !o.decodable(rq) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, o.etag...)
	}
	return string(b)
}

// byTag finds the variant that a 304 with this entity tag is about (RFC 9111
// §4.3.4), the newest first.
func (s *CacheStore) byTag(key, url []byte, tag string) *cacheObject {
	sh := s.shard(url)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if n := sh.nodes[string(key)]; n != nil {
		for _, v := range slices.Backward(n.variants) {
			if o := v.obj; o.etag != "" && weakEqual(o.etag, tag) {
				return o
			}
		}
	}
	return nil
}

// put stores an object under key, in the place of the variants that its request
// would have selected; not when doomed is set by then, which a purge does before
// it looks into the shard.
func (s *CacheStore) put(key string, urlLen int, rq *message.Header, o *cacheObject, doomed *atomic.Bool) {
	sh := s.shard([]byte(key[:urlLen]))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !doomed.Load() {
		sh.insert(key, urlLen, rq, o)
	}
}

// replace stores o in the place of old, if that is still there.
func (s *CacheStore) replace(key string, urlLen int, rq *message.Header, old, o *cacheObject) {
	sh := s.shard([]byte(key[:urlLen]))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.nodes[key]
	if n == nil || !slices.ContainsFunc(n.variants, func(e *cacheEntry) bool { return e.obj == old }) {
		return
	}
	sh.insert(key, urlLen, rq, o)
}

// insert puts an object in. sh.mu is held.
func (sh *cacheShard) insert(key string, urlLen int, rq *message.Header, o *cacheObject) {
	e := &cacheEntry{obj: o, size: entryOverhead + int64(len(key)+len(o.body)) + o.headSize}
	if e.size > sh.size/2 {
		return
	}
	n := sh.node(key, urlLen)
	for _, v := range slices.Backward(n.variants) {
		if varyMatches(v.obj.vary, rq) {
			e.hits.Store(v.hits.Load()) // a newer copy is as wanted as the old one
			sh.unlink(v)
		}
	}
	if len(n.variants) >= maxCacheVary {
		sh.unlink(n.variants[0])
	}
	if n.pass != nil {
		sh.unlink(n.pass)
	}
	e.node = sh.node(key, urlLen) // unlink may have removed the empty node
	e.node.variants = append(e.node.variants, e)
	for _, t := range o.tags {
		set := sh.tags[t]
		if set == nil {
			set = make(map[*cacheEntry]struct{})
			sh.tags[t] = set
		}
		set[e] = struct{}{}
	}
	sh.enqueue(e)
}

// mark says that responses to a key can't be shared until then.
func (s *CacheStore) mark(key string, urlLen int, until time.Time) {
	e := &cacheEntry{until: until, size: entryOverhead + int64(len(key))}
	sh := s.shard([]byte(key[:urlLen]))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if n := sh.nodes[key]; n != nil && n.pass != nil {
		n.pass.until = until
		return
	}
	e.node = sh.node(key, urlLen)
	e.node.pass = e
	sh.enqueue(e)
}

// drop removes the variant that holds o, if it is still there.
func (s *CacheStore) drop(key string, urlLen int, o *cacheObject) {
	sh := s.shard([]byte(key[:urlLen]))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if n := sh.nodes[key]; n != nil {
		for _, e := range n.variants {
			if e.obj == o {
				sh.unlink(e)
				return
			}
		}
	}
}

func (sh *cacheShard) node(key string, urlLen int) *cacheNode {
	n := sh.nodes[key]
	if n == nil {
		n = &cacheNode{key: key, url: key[:urlLen]}
		n.next = sh.urls[n.url]
		sh.nodes[key], sh.urls[n.url] = n, n
	}
	return n
}

// enqueue puts an entry at the front of a queue and makes room for it.
func (sh *cacheShard) enqueue(e *cacheEntry) {
	if e.obj != nil && (e.hits.Load() > 0 || sh.ghosts.take(e.fingerprint())) {
		e.inMain = true
		sh.main.push(e)
	} else {
		sh.small.push(e)
	}
	for sh.small.bytes+sh.main.bytes > sh.size {
		sh.evict()
	}
}

// evict removes at least one entry, or moves wanted ones on. Each entry is moved
// at most as often as it was hit, which makes it O(1) over time.
func (sh *cacheShard) evict() {
	if sh.small.last != nil && (sh.small.bytes > sh.size/10 || sh.main.last == nil) {
		e := sh.small.last
		if e.obj != nil && e.hits.Load() > 1 {
			sh.small.remove(e)
			e.hits.Store(0)
			e.inMain = true
			sh.main.push(e)
			return
		}
		if e.obj != nil {
			sh.ghosts.add(e.fingerprint())
		}
		sh.unlink(e)
		return
	}
	e := sh.main.last
	if e == nil {
		return
	}
	if n := e.hits.Load(); n > 0 {
		e.hits.Store(n - 1)
		sh.main.remove(e)
		sh.main.push(e)
		return
	}
	sh.unlink(e)
}

// unlink takes an entry out of everything.
func (sh *cacheShard) unlink(e *cacheEntry) {
	if e.inMain {
		sh.main.remove(e)
	} else {
		sh.small.remove(e)
	}
	n := e.node
	if n.pass == e {
		n.pass = nil
	}
	if i := slices.Index(n.variants, e); i >= 0 {
		n.variants = slices.Delete(n.variants, i, i+1)
	}
	if e.obj != nil {
		for _, t := range e.obj.tags {
			if set := sh.tags[t]; set != nil {
				if delete(set, e); len(set) == 0 {
					delete(sh.tags, t)
				}
			}
		}
	}
	if len(n.variants) > 0 || n.pass != nil {
		return
	}
	delete(sh.nodes, n.key)
	first := sh.urls[n.url]
	if first == n {
		if n.next == nil {
			delete(sh.urls, n.url)
		} else {
			// The map's key must not keep the memory of a node that is gone.
			delete(sh.urls, n.url)
			sh.urls[n.next.url] = n.next
		}
		return
	}
	for p := first; p != nil; p = p.next {
		if p.next == n {
			p.next = n.next
			return
		}
	}
}

func (e *cacheEntry) fingerprint() uint64 {
	h := hash64(0, e.node.key)
	for i := range e.obj.vary {
		h = hash64(h, e.obj.vary[i].value)
	}
	return h
}

// entryQueue is a list of entries, newest first, with their size.
type entryQueue struct {
	first, last *cacheEntry
	bytes       int64
	count       int
}

func (q *entryQueue) push(e *cacheEntry) {
	e.prev, e.next = nil, q.first
	if q.first != nil {
		q.first.prev = e
	} else {
		q.last = e
	}
	q.first = e
	q.bytes += e.size
	q.count++
}

func (q *entryQueue) remove(e *cacheEntry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	e.prev, e.next = nil, nil
	q.bytes -= e.size
	q.count--
}

// ghostQueue remembers what was evicted from the small queue, as fingerprints.
type ghostQueue struct {
	ring []uint64
	at   int
	in   map[uint64]struct{}
}

func (g *ghostQueue) init(n int) {
	g.ring, g.in = make([]uint64, n), make(map[uint64]struct{})
}

func (g *ghostQueue) add(h uint64) {
	if _, ok := g.in[h]; ok {
		return
	}
	delete(g.in, g.ring[g.at])
	g.ring[g.at] = h
	g.in[h] = struct{}{}
	g.at = (g.at + 1) % len(g.ring)
}

// take tells whether h is there, and forgets it.
func (g *ghostQueue) take(h uint64) bool {
	_, ok := g.in[h]
	delete(g.in, h)
	return ok
}

// CacheStats is what a store holds at the moment.
type CacheStats struct {
	// Entries are stored responses; Bytes is what they take, marks included.
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
	// Limit is the most bytes that the store may take.
	Limit int64 `json:"limit"`
}

// Stats counts what the store holds.
func (s *CacheStore) Stats() CacheStats {
	st := CacheStats{Limit: s.size}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		st.Entries += sh.small.count + sh.main.count
		st.Bytes += sh.small.bytes + sh.main.bytes
		sh.mu.RUnlock()
	}
	return st
}

// weakEqual is the weak comparison of entity tags (RFC 9110 §8.8.3.2).
func weakEqual(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

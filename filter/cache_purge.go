package filter

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
)

// Purge says what to throw out of a cache. Exactly one of URL, Prefix, Tag and
// All is set.
type Purge struct {
	// URL is one absolute URL with its query: all its variants go.
	URL string `json:"url"`
	// Prefix is the beginning of absolute URLs, as https://example.com/shop/.
	Prefix string `json:"prefix"`
	// Tag is one word of Surrogate-Key or Cache-Tag, or a member of Cache-Groups.
	Tag string `json:"tag"`
	// All is everything.
	All bool `json:"all"`
	// Soft makes responses stale instead of removing them, so that
	// stale-while-revalidate, stale-if-error and validation still have them.
	Soft bool `json:"soft"`
}

var (
	errPurgeWhat = errors.New("name exactly one of url, prefix, tag and all")
	errPurgeURL  = errors.New("the URL must be absolute, such as https://example.com/path")
)

// Purge throws out what p names and tells how many responses that were. Calls to
// services that are under way are not stored when they may be meant too.
func (s *CacheStore) Purge(p Purge, now time.Time) (int, error) {
	given := 0
	for _, set := range []bool{p.URL != "", p.Prefix != "", p.Tag != "", p.All} {
		if set {
			given++
		}
	}
	if given != 1 {
		return 0, errPurgeWhat
	}
	switch {
	case p.URL != "":
		return s.purgeURL(p, now)
	case p.Prefix != "":
		prefix, ok := purgeTarget(p.Prefix)
		if !ok {
			return 0, errPurgeURL
		}
		return s.purgePrefix(string(appendCacheURL(nil, prefix.scheme, prefix.authority, prefix.path, prefix.query, prefix.hasQuery, &queryMode{})), p.Soft, now), nil
	case p.Tag != "":
		return s.purgeTag(p.Tag, "", p.Soft, now), nil
	default:
		return s.purgePrefix("", p.Soft, now), nil
	}
}

// target is an absolute URL in the parts that a key is made of.
type target struct {
	scheme, authority, path, query string
	hasQuery                       bool
}

// purgeTarget takes an absolute URL apart and makes its path canonical.
func purgeTarget(u string) (t target, ok bool) {
	t.scheme, u, ok = strings.Cut(u, "://")
	t.scheme = strings.ToLower(t.scheme)
	if !ok || t.scheme != "http" && t.scheme != "https" {
		return t, false
	}
	u, _, _ = strings.Cut(u, "#")
	u, t.query, t.hasQuery = strings.Cut(u, "?")
	end := strings.IndexByte(u, '/')
	if end < 0 {
		end = len(u)
	}
	t.authority, t.path = u[:end], u[end:]
	if t.path == "" {
		t.path = "/"
	}
	var x message.Exchange
	var err error
	if t.path, _, err = route.CanonicalPath(&x, t.path); err != nil || t.authority == "" || t.authority[0] == ':' {
		return t, false
	}
	return t, true
}

func (s *CacheStore) purgeURL(p Purge, now time.Time) (int, error) {
	t, ok := purgeTarget(p.URL)
	if !ok {
		return 0, errPurgeURL
	}
	return s.purgeTarget(&t, p.Soft, now), nil
}

// purgeTarget purges one URL as each filter in use writes it.
func (s *CacheStore) purgeTarget(t *target, soft bool, now time.Time) int {
	s.mu.Lock()
	modes := slices.Clip(s.modes)
	s.mu.Unlock()
	n := 0
	seen := make(map[string]bool, len(modes)+1)
	for i := range modes {
		url := string(appendCacheURL(nil, t.scheme, t.authority, t.path, t.query, t.hasQuery, &modes[i]))
		if seen[url] {
			continue
		}
		seen[url] = true
		s.flights.doom(func(f *flight) bool { return f.url() == url })
		n += s.purgeOne(url, soft, now)
	}
	return n
}

func (s *CacheStore) purgeOne(url string, soft bool, now time.Time) int {
	sh := s.shard([]byte(url))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var list []*cacheEntry
	for n := sh.urls[url]; n != nil; n = n.next {
		list = append(list, n.variants...)
	}
	return sh.purge(list, soft, now)
}

// purgePrefix looks at every key of every shard, one lock at a time.
func (s *CacheStore) purgePrefix(prefix string, soft bool, now time.Time) int {
	s.flights.doom(func(f *flight) bool { return strings.HasPrefix(f.key, prefix) })
	total := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		var list []*cacheEntry
		for key, n := range sh.nodes {
			if strings.HasPrefix(key, prefix) {
				list = append(list, n.variants...)
			}
		}
		total += sh.purge(list, soft, now)
		sh.mu.Unlock()
	}
	return total
}

// purgeTag purges by tag; with origin, "https://example.com", only there.
func (s *CacheStore) purgeTag(tag, origin string, soft bool, now time.Time) int {
	s.flights.doom(func(f *flight) bool { return strings.HasPrefix(f.key, origin) && f.mayHaveTag(tag) })
	total := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		var list []*cacheEntry
		for e := range sh.tags[tag] {
			if origin == "" || strings.HasPrefix(e.node.url, origin) && strings.HasPrefix(e.node.url[len(origin):], "/") {
				list = append(list, e)
			}
		}
		total += sh.purge(list, soft, now)
		sh.mu.Unlock()
	}
	return total
}

func (sh *cacheShard) purge(list []*cacheEntry, soft bool, now time.Time) int {
	for _, e := range list {
		if soft {
			e.obj = e.obj.staled(now)
		} else {
			sh.unlink(e)
		}
	}
	return len(list)
}

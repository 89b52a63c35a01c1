package filter

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/message"
)

// A key is "scheme://authority/path?query", NUL, policy, NUL, header values.
// The first part, the URL, is what purges and unsafe methods name. The policy
// holds route and whole definition, so that a changed definition finds nothing
// that was stored under another one. The authority is always in the key:
// leaving it out lets one host answer for another (CVE-2026-2836).

// queryMode says which part of the query belongs to the key.
type queryMode struct {
	kind string   // "", "ignore", "sort", "only"
	only []string // sorted names, for "only"
}

func (m *queryMode) equal(o *queryMode) bool { return m.kind == o.kind && slices.Equal(m.only, o.only) }

// appendCacheURL appends the URL part of the key. Scheme and host are
// case-insensitive, and a scheme's own port says nothing (RFC 9110 §4.2.3).
func appendCacheURL(dst []byte, scheme, authority, path, query string, hasQuery bool, m *queryMode) []byte {
	dst = append(dst, scheme...)
	dst = append(dst, "://"...)
	start := len(dst)
	for i := range len(authority) {
		c := authority[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	if strings.HasSuffix(message.View(dst[start:]), port) {
		dst = dst[:len(dst)-len(port)]
	}
	dst = append(dst, path...)
	return m.appendQuery(dst, query, hasQuery)
}

// appendQuery appends the part of the query that counts, byte for byte: nothing
// is decoded, because the service might tell the forms apart.
func (m *queryMode) appendQuery(dst []byte, query string, hasQuery bool) []byte {
	switch m.kind {
	case "ignore":
		return dst
	case "sort", "only":
		return m.appendSorted(dst, query)
	}
	if hasQuery {
		dst = append(dst, '?')
		dst = append(dst, query...)
	}
	return dst
}

// maxSorted is the most parameters that sort and only look at; a longer query
// is taken as it is.
const maxSorted = 64

// appendSorted appends the parameters in the order of their names. Parameters of
// one name keep their order, which services see.
func (m *queryMode) appendSorted(dst []byte, query string) []byte {
	var fixed [maxSorted]string
	list := fixed[:0]
	for rest := query; rest != ""; {
		var p string
		p, rest, _ = strings.Cut(rest, "&")
		if p == "" || m.kind == "only" && !slices.Contains(m.only, paramName(p)) {
			continue
		}
		if len(list) == maxSorted {
			return append(append(dst, '?'), query...)
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b string) int { return strings.Compare(paramName(a), paramName(b)) })
	for i, p := range list {
		if i == 0 {
			dst = append(dst, '?')
		} else {
			dst = append(dst, '&')
		}
		dst = append(dst, p...)
	}
	return dst
}

func paramName(p string) string {
	name, _, _ := strings.Cut(p, "=")
	return name
}

// appendFolded appends all values of a field, white space folded and lines
// joined (RFC 9111 §4.1): what two requests must share. An absent field and an
// empty one differ.
func appendFolded(dst []byte, h *message.Header, name string) []byte {
	id := message.NameID(name)
	if id != message.Other && !h.Has(id) {
		return append(dst, 0x01)
	}
	found := false
	fields := h.Fields()
	for i := range fields {
		f := &fields[i]
		if f.ID != id || id == message.Other && !strings.EqualFold(f.Name, name) {
			continue
		}
		if found {
			dst = append(dst, ',')
		}
		found = true
		dst = foldSpace(dst, f.Value)
	}
	if !found {
		return append(dst, 0x01)
	}
	return dst
}

// foldSpace appends v without white space around commas and with single spaces elsewhere.
func foldSpace(dst []byte, v string) []byte {
	start := len(dst)
	gap := false
	for i := range len(v) {
		c := v[i]
		if c == ' ' || c == '\t' {
			gap = true
			continue
		}
		if gap && c != ',' && len(dst) > start && dst[len(dst)-1] != ',' {
			dst = append(dst, ' ')
		}
		gap = false
		dst = append(dst, c)
	}
	return dst
}

// cacheVary is one nominated request field of a stored response with the value
// that its request had.
type cacheVary struct {
	name    string
	value   string
	reduced bool // Accept-Encoding, reduced to the codings that are offered
}

// appendVary appends the value of a nominated field in a request.
func appendVary(dst []byte, h *message.Header, name string, reduced bool) []byte {
	if reduced {
		a := readAccept(h)
		return a.appendReduced(dst)
	}
	return appendFolded(dst, h, name)
}

// readVary lists what a response to rq varies by. Accept-Encoding is reduced
// only when the response's coding is one of those that the reduction knows:
// else a coding the reduction can't see would reach clients that never named it.
func readVary(rq, answer *message.Header) []cacheVary {
	if !answer.Has(message.Vary) {
		return nil
	}
	var out []cacheVary
	fields := answer.Fields()
	for i := range fields {
		if fields[i].ID != message.Vary {
			continue
		}
		for rest := fields[i].Value; rest != ""; {
			var name string
			name, rest = message.NextMember(rest)
			if name == "" || slices.ContainsFunc(out, func(v cacheVary) bool { return strings.EqualFold(v.name, name) }) {
				continue
			}
			v := cacheVary{name: strings.ToLower(name)}
			v.reduced = v.name == "accept-encoding" && knownCoding(answer)
			v.value = string(appendVary(nil, rq, v.name, v.reduced))
			out = append(out, v)
		}
	}
	return out
}

// varyMatches tells whether a request selects what was stored with these values.
func varyMatches(vary []cacheVary, rq *message.Header) bool {
	var buf [256]byte
	for i := range vary {
		v := &vary[i]
		if string(appendVary(buf[:0], rq, v.name, v.reduced)) != v.value {
			return false
		}
	}
	return true
}

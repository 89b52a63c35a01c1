package http1

import (
	"strings"

	"github.com/maru-msa/maru/message"
)

// CheckRequest judges a request that came by HTTP/2 or HTTP/3 by the rules of
// this package, so that a message gets the same verdict whatever carried it (RFC
// 9113 §8.2, §8.3, RFC 9114 §4.2, §4.3). The adapter has set Method, Scheme,
// Authority (:authority), Proto, Header (Host and Content-Length included) and
// Length; target is :path. Refused names in upper case are the framer's task.
//
// CheckRequest sets Path, RawPath, Query, HasQuery, Host and Expect, takes
// framing fields and Host out of Header, and drops fields that imitate managed
// ones; their number is returned. The error is a *Refusal. connect lets CONNECT
// through.
func CheckRequest(r *message.Request, target string, connect bool) (lookalikes int, err error) {
	if ref := checkMethod(r, connect); ref != nil {
		return 0, ref
	}
	if r.Method != "CONNECT" {
		if ref := checkTarget(r, target); ref != nil {
			return 0, ref
		}
	}
	lookalikes, ref := checkFields(r)
	if ref != nil {
		return lookalikes, ref
	}
	if ref = checkAuthority(r); ref != nil {
		return lookalikes, ref
	}
	if r.Header.Has(message.Trailer) {
		if ref = judgeAnnounced(&r.Header); ref != nil {
			return lookalikes, ref
		}
	}
	if r.Expect, ref = judgeExpect(r); ref != nil {
		return lookalikes, ref
	}
	return lookalikes, nil
}

func checkMethod(r *message.Request, connect bool) *Refusal {
	switch {
	case len(r.Method) > maxMethod:
		return refuseMethodTooLong
	case !message.ValidToken(r.Method):
		return refuseMethod
	}
	var st requestState
	return parseMethod(append(r.X.Scratch(len(r.Method)), r.Method...), r, &st, &Limits{Connect: connect})
}

// checkTarget takes "/path?query", and "*" for OPTIONS (RFC 9113 §8.3.1).
func checkTarget(r *message.Request, target string) *Refusal {
	if target == "" || target[0] != '/' && target != "*" {
		return refuseTargetForm
	}
	var st requestState
	return parseTarget(append(r.X.Scratch(len(target)), target...), r, &st)
}

// checkFields judges the fields one by one.
func checkFields(r *message.Request) (lookalikes int, ref *Refusal) {
	h := &r.Header
	var seen idSet
	for _, f := range h.Fields() {
		switch {
		case !message.ValidToken(f.Name):
			return 0, refuseFieldName
		case !message.ValidValue(f.Value):
			return 0, refuseFieldValue
		case connectionNames.has(f.ID):
			return 0, refuseConnectionSpecific
		case f.ID == message.TE && !strings.EqualFold(f.Value, "trailers"):
			return 0, refuseConnectionSpecific
		case singletons.has(f.ID) && seen.has(f.ID):
			return 0, refuseDuplicateSingleton
		case f.ID == message.ContentLength && seen.has(f.ID):
			return 0, refuseCLMany
		case f.ID == message.ContentLength:
			n, bad := parseLength(f.Value)
			if bad != nil {
				return 0, bad
			}
			r.Length = n
		case f.ID == message.Other && imitates(f.Name):
			if id, _ := message.Lookalike(f.Name); framingNames.has(id) {
				return 0, refuseFramingLookalike
			}
			lookalikes++
		}
		seen.add(f.ID)
	}
	h.DelID(message.ContentLength)
	if lookalikes > 0 {
		h.DelFunc(func(f *message.Field) bool { return f.ID == message.Other && imitates(f.Name) })
	}
	r.X.Lookalikes = lookalikes
	return lookalikes, nil
}

// imitates tells whether a name folds onto one that frames, or that only maru or
// a trusted peer may set, without being it.
func imitates(name string) bool {
	return isLookalike(name) || !message.Plain(name) && message.Reserved(name)
}

// checkAuthority judges :authority, which Host may only repeat (RFC 9113 §8.3.1).
func checkAuthority(r *message.Request) *Refusal {
	st := requestState{authority: r.Authority, connect: r.Method == "CONNECT"}
	for _, f := range r.Header.Fields() {
		if f.ID == message.Host {
			st.hosts++
			st.host = f.Value
		}
	}
	if st.hosts == 0 {
		st.hosts, st.host = 1, r.Authority
	}
	if st.authority == "" && st.host == "" {
		return refuseHostMissing
	}
	r.Header.DelID(message.Host)
	return st.judgeHost(r)
}

// Faults of a request's body that an engine of HTTP/2 or HTTP/3 finds while it
// reads; both are a *Refusal.
var (
	ErrBodyTooLarge error = refuseBodyTooLarge
	ErrBodyTimeout  error = refuseBodyTimeout
)

// CheckLimits judges the sizes of a request that CheckRequest has taken; lim has
// its defaults filled in.
func CheckLimits(r *message.Request, lim *Limits) error {
	fields := r.Header.Fields()
	size := len(r.Method) + len(r.RawPath) + len(r.Query)
	switch {
	case size > int(lim.RequestLine):
		return refuseTargetTooLong
	case len(fields) > lim.HeaderCount:
		return refuseTooManyFields
	}
	for i := range fields {
		if len(fields[i].Name) > lim.HeaderName {
			return refuseNameTooLong
		}
		size += len(fields[i].Name) + len(fields[i].Value) + len(": \r\n")
	}
	if size > int(lim.HeaderBytes) {
		return refuseHeadTooLarge
	}
	if limit := lim.body(); limit > 0 && r.Length > limit {
		return refuseBodyTooLarge
	}
	return nil
}

// CheckTrailer judges one trailer field of a request by HTTP/2 or HTTP/3 as if
// it had come chunked (RFC 9110 §6.5.1). keep is false for one that is dropped.
func CheckTrailer(name, value string) (keep bool, err error) {
	id := message.NameID(name)
	switch {
	case !message.ValidToken(name):
		return false, refuseFieldName
	case !message.ValidValue(value):
		return false, refuseFieldValue
	case forbiddenTrailers.has(id):
		return false, refuseTrailerFraming
	case id == message.Other && isLookalike(name):
		if like, _ := message.Lookalike(name); framingNames.has(like) {
			return false, refuseFramingLookalike
		}
		return false, nil
	}
	return !droppedTrailers.has(id) && !droppedPrefix(name), nil
}

// BodyLimit is the limit of a request body in bytes; 0 means none.
func (l *Limits) BodyLimit() int64 { return l.body() }

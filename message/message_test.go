package message

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/quick"
	"time"
)

func header(lines ...string) *Header {
	h := new(Header)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		if err := h.Add(name, value); err != nil {
			panic(err)
		}
	}
	return h
}

func text(h *Header) string {
	var out []string
	for _, f := range h.Fields() {
		out = append(out, f.Name+": "+f.Value)
		if f.ID != NameID(f.Name) {
			out = append(out, "<wrong id>")
		}
	}
	return strings.Join(out, "|")
}

func TestHeaderKeepsOrderAndCase(t *testing.T) {
	t.Parallel()
	h := header("b: 1", "Content-TYPE: a", "X-Own: 1", "x-own: 2", "B: 3")
	for _, tt := range []struct {
		name string
		do   func(h *Header)
		want string
	}{
		{"set replaces the first and removes the others", func(h *Header) { _ = h.Set("X-OWN", "9") }, "b: 1|Content-TYPE: a|X-OWN: 9|B: 3"},
		{"set of an absent name appends", func(h *Header) { _ = h.Set("C", "1") }, "b: 1|Content-TYPE: a|X-Own: 1|x-own: 2|B: 3|C: 1"},
		{"set of a known name", func(h *Header) { h.SetID(ContentType, "b") }, "b: 1|Content-Type: b|X-Own: 1|x-own: 2|B: 3"},
		{"delete in any case", func(h *Header) { h.Del("B"); h.Del("content-type") }, "X-Own: 1|x-own: 2"},
		{"delete by function", func(h *Header) { h.DelFunc(func(f *Field) bool { return f.Value == "1" }) }, "Content-TYPE: a|x-own: 2|B: 3"},
		{"copy", func(h *Header) { h.CopyFrom(header("Via: x")) }, "b: 1|Content-TYPE: a|X-Own: 1|x-own: 2|B: 3|Via: x"},
	} {
		var c Header
		c.CopyFrom(h)
		tt.do(&c)
		if got := text(&c); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
	if got := h.Values(nil, "X-OWN"); !slices.Equal(got, []string{"1", "2"}) || h.Get("x-OWN") != "1" || h.Value(ContentType) != "a" {
		t.Errorf("%q", got)
	}
	if _, ok := h.Lookup("absent"); ok || h.Has(Via) || h.Value(Via) != "" || h.Del("absent") != 0 || h.DelID(Via) != 0 {
		t.Error("found what is not there")
	}
	h.Reset()
	if h.Len() != 0 || h.Has(ContentType) {
		t.Error("not empty")
	}
}

func TestSettersRefuse(t *testing.T) {
	t.Parallel()
	h := header("A: b")
	for _, bad := range [][2]string{{"", "a"}, {"a b", "a"}, {"a:", "a"}, {"a\r\nb", "a"}, {"a", "b\r\nc: d"}, {"a", "b\nc"}, {"a", "b\x00"}, {"a", " b"}, {"a", "b\t"}, {"a", "\x7f"}} {
		if h.Add(bad[0], bad[1]) == nil || h.Set(bad[0], bad[1]) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if text(h) != "A: b" {
		t.Error("something changed")
	}
	for _, good := range [][2]string{{"a", ""}, {"x!#$%&'*+-.^_`|~9", "a\tb\xff c"}} {
		if err := h.Add(good[0], good[1]); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestHasToken(t *testing.T) {
	t.Parallel()
	h := header("Connection: keep-alive, ,Upgrade", "Connection: x")
	for token, want := range map[string]bool{"upgrade": true, "X": true, "keep": false, "": true, "close": false} {
		if h.HasToken(Connection, token) != want {
			t.Errorf("%q: not %v", token, want)
		}
	}
	if h.HasToken(TE, "trailers") {
		t.Error("a field that is not there")
	}
}

// Every known name is found by its table in any case, and nothing else is.
func TestKnownNames(t *testing.T) {
	t.Parallel()
	for id := Other + 1; id < numIDs; id++ {
		name := id.String()
		if name == "" {
			t.Fatalf("id %d has no name", id)
		}
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := NameID(n); got != id {
				t.Errorf("%s gives %v", n, got)
			}
		}
		for _, n := range []string{name + "x", "x" + name, name[1:], strings.ReplaceAll(name, "-", "_") + "_", name[:len(name)-1] + "\x00"} {
			if got := NameID(n); got == id {
				t.Errorf("%q gives %v", n, got)
			}
		}
		if i := strings.IndexByte(name, '-'); i > 0 {
			odd := name[:i] + "_" + name[i+1:]
			if got, like := Lookalike(odd); !like || got != id {
				t.Errorf("%s looks like %v %v", odd, got, like)
			}
		}
		if _, like := Lookalike(name); like {
			t.Errorf("%s looks like itself", name)
		}
	}
	if err := quick.Check(func(s string) bool {
		id := NameID(s)
		return id == Other || strings.EqualFold(s, id.String())
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	if got := string(Fold([]byte("x"), "X_Forwarded.For~1")); got != "xx-forwarded-for-1" {
		t.Errorf("%q", got)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Size{"0": 0, "512": 512, "1KiB": 1024, "64 KiB": 64 << 10, "2GiB": 2 << 30, "5MB": 5e6, "7B": 7} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("%s: %d %v", in, s, err)
		}
	}
	for _, in := range []string{"", "-1", "1.5KiB", "KiB", "1KIB", "9999999999GiB", "1 K", "0x10"} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q gives %d", in, s)
		}
	}
	for _, s := range []Size{0, 1, 1024, 1536, 3 << 20, 1 << 30, 1<<30 + 1} {
		var back Size
		if b, _ := s.MarshalText(); back.UnmarshalText(b) != nil || back != s {
			t.Errorf("%d is written as %s", s, b)
		}
	}
}

// piece is a body that comes in pieces and ends with err.
type piece struct {
	parts []string
	err   error
}

func (p *piece) Read(b []byte) (int, error) {
	if len(p.parts) == 0 {
		return 0, p.err
	}
	n := copy(b, p.parts[0])
	if p.parts[0] = p.parts[0][n:]; p.parts[0] == "" {
		p.parts = p.parts[1:]
	}
	return n, nil
}

func (p *piece) Close() error { return nil }

func TestReadAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, tt := range []struct {
		body  *piece
		limit int64
		want  string
		err   error
	}{
		{&piece{[]string{"ab", "c"}, io.EOF}, 3, "abc", nil},
		{&piece{[]string{"ab", "cd"}, io.EOF}, 3, "abc", ErrTooLarge},
		{&piece{nil, io.EOF}, 0, "", nil},
		{&piece{[]string{"a"}, broken}, 9, "a", broken},
	} {
		got, err := ReadAll([]byte(">"), tt.body, tt.limit)
		if string(got) != ">"+tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q %v, want %q %v", got, err, tt.want, tt.err)
		}
	}
}

func TestBytesBody(t *testing.T) {
	t.Parallel()
	if Bytes(nil) != NoBody {
		t.Error("an empty body is NoBody")
	}
	b := Bytes([]byte("hello")).(Buffered)
	if string(b.Peek()) != "hello" {
		t.Errorf("%q", b.Peek())
	}
	b.Skip(2)
	p := make([]byte, 2)
	if n, err := b.Read(p); n != 2 || err != nil || string(p) != "ll" {
		t.Errorf("%q %v", p[:n], err)
	}
	b.Skip(1)
	if _, err := b.Read(p); err != io.EOF { //nolint:errorlint // the contract of Body
		t.Error(err)
	}
	if n, err := NoBody.Read(p); n != 0 || err != io.EOF { //nolint:errorlint // the contract of Body
		t.Error(n, err)
	}
}

type hook struct{ called atomic.Int32 }

func (h *hook) Cancel(error) { h.called.Add(1) }

func TestCancel(t *testing.T) {
	t.Parallel()
	r := NewRequest()
	x := &r.X
	var kept, removed hook
	for _, h := range []*hook{&removed, &kept} {
		if err := x.OnCancel(h); err != nil {
			t.Fatal(err)
		}
	}
	x.OffCancel(&removed)
	ctx := x.Context()
	first := errors.New("first")
	x.Cancel(first)
	x.Cancel(errors.New("second"))
	if kept.called.Load() != 1 || removed.called.Load() != 0 {
		t.Errorf("called %d and %d times", kept.called.Load(), removed.called.Load())
	}
	if x.Err() != first || context.Cause(ctx) != first || x.OnCancel(&removed) != first { //nolint:errorlint // the very one
		t.Errorf("%v %v", x.Err(), context.Cause(ctx))
	}
	late := x.Context()
	if late.Err() == nil {
		t.Error("a context made late is not cancelled")
	}
	r.Release()
	again := NewRequest()
	defer again.Release()
	if again.X.Err() != nil || again.X.Context().Err() != nil {
		t.Error("the next exchange is cancelled too")
	}
}

// After OffCancel has returned, the hook neither runs nor will.
func TestOffCancelWaits(t *testing.T) {
	t.Parallel()
	for range 200 {
		r := NewRequest()
		var h hook
		_ = r.X.OnCancel(&h)
		var wait sync.WaitGroup
		wait.Go(func() { r.X.Cancel(ErrClientGone) })
		r.X.OffCancel(&h)
		before := h.called.Load()
		wait.Wait()
		if h.called.Load() != before {
			t.Fatal("it ran afterwards")
		}
		r.Release()
	}
}

func TestContextHasTheDeadline(t *testing.T) {
	t.Parallel()
	r := NewRequest()
	r.X.Deadline = time.Now().Add(time.Hour)
	ctx := r.X.Context()
	if d, ok := ctx.Deadline(); !ok || !d.Equal(r.X.Deadline) {
		t.Errorf("%v %v", d, ok)
	}
	r.Release()
	if ctx.Err() == nil {
		t.Error("the context outlives its exchange")
	}
}

func TestResetForgetsAll(t *testing.T) {
	t.Parallel()
	r := NewRequest()
	r.Method, r.Path, r.Query, r.HasQuery, r.Upgrade, r.Expect, r.Length = "GET", "/", "q", true, "x", true, 5
	_ = r.Header.Add("A", "b")
	_ = r.Trailer.Add("A", "b")
	r.X.AddParam("id", "1")
	r.X.Route, r.X.Reason, r.X.Attempts, r.X.Shard, r.X.Stream, r.X.Forwarded = "r", "x", 3, 7, true, true
	r.X.TryTimeout, r.X.IdleTimeout = 1, 1
	r.Reset()
	fresh := new(Request)
	fresh.Reset()
	if r.Method != "" || r.Path != "" || r.HasQuery || r.Upgrade != "" || r.Expect || r.Length != 0 || r.Body != NoBody || r.Header.Len()+r.Trailer.Len() > 0 ||
		len(r.X.Params()) > 0 || r.X.Route != "" || r.X.Reason != "" || r.X.Attempts != 0 || r.X.Shard != 0 || r.X.Stream || r.X.Forwarded ||
		r.X.TryTimeout != 0 || r.X.IdleTimeout != 0 {
		t.Errorf("%+v", r)
	}
	p := NewResponse(200)
	p.SetBytes([]byte("a"))
	p.Close, p.Stream, p.Reason = true, true, "x"
	p.Reset()
	if p.Status != 0 || p.Body != NoBody || p.Length != 0 || p.Close || p.Stream || p.Reason != "" || p.Local {
		t.Errorf("%+v", p)
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	var x Exchange
	for i := range MaxParams + 3 {
		x.AddParam(string(rune('a'+i)), "v")
	}
	if len(x.Params()) != MaxParams || x.Param("a") != "v" || x.Param("zz") != "" {
		t.Errorf("%v", x.Params())
	}
}

// The arena: what was given stays as it is, however much more is asked for.
func TestArena(t *testing.T) {
	t.Parallel()
	r := NewRequest()
	defer r.Release()
	var given []string
	for i := range 300 {
		s := strings.Repeat(string(rune('a'+i%26)), i%90)
		given = append(given, r.X.String([]byte(s)))
	}
	big := r.X.String([]byte(strings.Repeat("z", 5000)))
	b := append(r.X.Scratch(3), "abc"...)
	after := r.X.String([]byte("def"))
	for i, s := range given {
		if s != strings.Repeat(string(rune('a'+i%26)), i%90) {
			t.Fatalf("string %d changed to %q", i, s)
		}
	}
	if len(big) != 5000 || View(b) != "abc" || after != "def" {
		t.Error("changed")
	}
	if cap(b) != 3 {
		t.Errorf("room for %d: more would write over the next", cap(b))
	}
}

type owner struct{ complete []bool }

func (o *owner) ReleaseResponse(_ *Response, complete bool) {
	o.complete = append(o.complete, complete)
}

func TestReleaseTellsTheOwner(t *testing.T) {
	t.Parallel()
	for _, mark := range []bool{false, true} {
		var o owner
		p := new(Response)
		p.Reset()
		p.Owner = &o
		if mark {
			p.MarkComplete()
		}
		p.Release()
		if len(o.complete) != 1 || o.complete[0] != mark {
			t.Errorf("%v", o.complete)
		}
	}
}

func TestIdempotent(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{"GET": true, "PUT": true, "DELETE": true, "POST": false, "PATCH": false, "PURGE": false} {
		r := NewRequest()
		r.Method = method
		if r.Idempotent() != want {
			t.Errorf("%s: not %v", method, want)
		}
		_ = r.Header.Add("idempotency-key", "1")
		if !r.Idempotent() {
			t.Errorf("%s with a key", method)
		}
		r.Release()
	}
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "OK", 418: "I'm a teapot", 599: "", -1: "", 10000: ""} {
		if got := StatusText(status); got != want {
			t.Errorf("%d: %q", status, got)
		}
	}
}

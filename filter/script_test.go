package filter

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/script"
)

// TestScripts plays testdata/*.script against the real filters. Set-up lines:
//
//	filter WORD: CONFIG      the next filter of the chain; CONFIG is JSON, or a scalar short form
//	service NAME             one more echo service, for split, mirror and errors
//	reply 503                what the services answer from now on; "reply echo" is the default
//	reply-field Name: value  a field of that answer
//	reply-trailer Name: value  a trailer field of that answer
//	reply-body TEXT          its content; "|" stands for a line's end
//	fail 502 reason          the services fail with this problem
//	only 2               what reply and fail said holds for so many calls
//	on private           the listener that requests come by
//	client ADDR, trusted yes, scheme https, route NAME, param NAME VALUE
//	file NAME TEXT           a file in the case's folder, which CONFIG calls $DIR
//	clock 30s                lets that much time pass for the filters
//	purge url URL            of the cache; also prefix, tag, all, and with "soft-" in front
//	late 1s                  the next requests began that long ago
//	encode gzip              the next requests' bodies are sent in that coding, and say so
//
// The echo service answers 200 with X-Seen-Method, -Path, -Query, -Service,
// -Stripped, -Count and X-Seen-NAME for every request field, and the request's body.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.script")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".script"), func(t *testing.T) {
			t.Parallel()
			script.Run(t, string(text), func(t *testing.T) script.Player {
				t.Helper()
				return newPlayer(t)
			})
		})
	}
}

// player is one chain with its services.
type player struct {
	dir      string
	env      Env
	now      time.Time
	chain    []string // the filter lines, built at the first exchange
	built    Func
	names    map[string]bool
	status   int // 0 for echo
	fields   []message.Field
	trailers []message.Field
	body     string
	fail     *problem.Error
	count    int
	only     int    // calls that status and fail hold for; 0: all
	coding   string // of request bodies
	prepare  []func(*message.Request)
	t        *testing.T
	store    *CacheStore // of the last cache filter
}

func newPlayer(t *testing.T) *player {
	t.Helper()
	p := &player{t: t, dir: t.TempDir(), names: map[string]bool{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	p.env = Bare()
	p.env.To = "default"
	p.env.Float = func() float64 { return 0 } // no retry waits
	p.env.Now = func() time.Time { return p.now }
	p.env.Keep = func(_ string, mk func() any) any {
		v := mk()
		if s, ok := v.(*CacheStore); ok {
			p.store = s
		}
		return v
	}
	p.env.Service = func(name string) (Func, error) {
		if !p.names[name] {
			return nil, errNoService
		}
		return func(r *message.Request) (*message.Response, error) { return p.serve(name, r) }, nil
	}
	return p
}

func (p *player) Set(word, args string) error {
	switch word {
	case "filter":
		p.chain = append(p.chain, args)
		return nil
	case "service":
		p.names[args] = true
		return nil
	case "route":
		p.env.Route = args
		return nil
	case "reply":
		n, err := strconv.Atoi(args)
		if args == "echo" {
			n, err = 0, nil
		}
		p.status, p.fields, p.trailers, p.body, p.fail = n, nil, nil, "", nil
		return err
	case "reply-field":
		name, value, _ := strings.Cut(args, ":")
		p.fields = append(p.fields, message.Field{Name: name, Value: strings.TrimSpace(value), ID: message.NameID(name)})
		return nil
	case "reply-trailer":
		name, value, _ := strings.Cut(args, ":")
		p.trailers = append(p.trailers, message.Field{Name: name, Value: strings.TrimSpace(value), ID: message.NameID(name)})
		return nil
	case "reply-body":
		p.body = strings.ReplaceAll(args, "|", "\n")
		return nil
	case "file":
		name, text, _ := strings.Cut(args, " ")
		return os.WriteFile(filepath.Join(p.dir, name), []byte(strings.ReplaceAll(text, "|", "\n")), 0o600)
	case "only":
		n, err := strconv.Atoi(args)
		p.only = n
		return err
	case "purge":
		what, value, _ := strings.Cut(args, " ")
		pg := Purge{Soft: strings.HasPrefix(what, "soft-")}
		switch strings.TrimPrefix(what, "soft-") {
		case "url":
			pg.URL = value
		case "prefix":
			pg.Prefix = value
		case "tag":
			pg.Tag = value
		case "all":
			pg.All = true
		}
		_, err := p.store.Purge(pg, p.now)
		return err
	case "clock":
		d, err := time.ParseDuration(args)
		p.now = p.now.Add(d)
		return err
	case "fail":
		status, reason, _ := strings.Cut(args, " ")
		n, err := strconv.Atoi(status)
		p.fail = problem.New(n, reason, "the service failed")
		return err
	}
	return p.setRequest(word, args)
}

func (p *player) setRequest(word, args string) error {
	set := func(f func(*message.Request)) { p.prepare = append(p.prepare, f) }
	switch word {
	case "client":
		a, err := netip.ParseAddr(args)
		set(func(r *message.Request) { r.X.Client = a })
		return err
	case "late":
		d, err := time.ParseDuration(args)
		set(func(r *message.Request) { r.X.Began = p.now.Add(-d) })
		return err
	case "on":
		set(func(r *message.Request) { r.X.Listener = args })
	case "encode":
		p.coding = args
	case "trusted":
		set(func(r *message.Request) { r.X.Trusted = args == "yes" })
	case "scheme":
		set(func(r *message.Request) { r.Scheme = args })
	case "param":
		name, value, _ := strings.Cut(args, " ")
		set(func(r *message.Request) { r.X.AddParam(name, value) })
	default:
		return fmt.Errorf("%q is no set-up word", word)
	}
	return nil
}

func (p *player) build() error {
	if p.built != nil {
		return nil
	}
	var list []Filter
	for _, line := range p.chain {
		word, text, _ := strings.Cut(line, ":")
		c, err := configOf(word, strings.ReplaceAll(text, "$DIR", p.dir))
		if err != nil {
			return err
		}
		f, err := c.Filter(p.env)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		list = append(list, f)
	}
	p.built = Chain(func(r *message.Request) (*message.Response, error) { return p.serve("default", r) }, list...)
	return nil
}

func (p *player) Do(in *script.Request) (*script.Response, error) {
	if err := p.build(); err != nil {
		return nil, err
	}
	r := message.NewRequest()
	defer r.Release()
	fillRequest(r, in)
	if p.coding != "" && in.Body != "" {
		body := []byte(encoded(p.t, p.coding, in.Body))
		r.Body, r.Length = message.Bytes(body), int64(len(body))
		r.Header.AppendID(message.ContentEncoding, p.coding)
	}
	r.X.Route, r.X.Began = p.env.Route, p.now
	for _, f := range p.prepare {
		f(r)
	}
	resp, err := p.built(r)
	if err != nil {
		resp = Render(r, err)
	}
	defer resp.Release()
	out := &script.Response{Status: resp.Status}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		out.Aborted = true
	} else {
		resp.MarkComplete()
	}
	out.Body = string(body)
	p.settle()
	for _, f := range resp.Header.Fields() {
		out.Header = append(out.Header, script.Field{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)})
	}
	if resp.Length != message.Unknown {
		out.Header = append(out.Header, script.Field{Name: "Content-Length", Value: strconv.FormatInt(resp.Length, 10)})
	}
	for _, f := range resp.Trailer.Fields() {
		out.Header = append(out.Header, script.Field{Name: "Trailer-" + f.Name, Value: strings.Clone(f.Value)})
	}
	return out, nil
}

// settle waits until what a cache does behind its answer is done.
func (p *player) settle() {
	for p.store != nil && p.store.busy() {
		runtime.Gosched()
	}
}

// busy tells whether a call of the store is under way.
func (s *CacheStore) busy() bool {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	return len(s.flights.open) > 0 || len(s.refresh) > 0
}

// fillRequest does what an engine and the edge do.
func fillRequest(r *message.Request, in *script.Request) {
	r.Method, r.Scheme, r.Proto = in.Method, "http", message.HTTP11
	r.Path, r.Query, r.HasQuery = strings.Cut(in.Target, "?")
	r.RawPath = r.Path
	r.X.Client = netip.MustParseAddr("192.0.2.1")
	if in.Body != "" {
		r.Body, r.Length = message.Bytes([]byte(in.Body)), int64(len(in.Body))
	}
	for _, f := range in.Header {
		switch id := message.NameID(f.Name); id {
		case message.Host:
			r.Authority, r.Host = f.Value, strings.ToLower(authorityHost(f.Value))
		case message.TransferEncoding:
			r.Length = message.Unknown
		default:
			r.Header.Append(message.Field{Name: f.Name, Value: f.Value, ID: id})
		}
	}
}

func (p *player) serve(name string, r *message.Request) (*message.Response, error) {
	p.count++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, problem.Wrap(err, 502, "upstream_write", "the service did not get the request")
	}
	status, fail := p.status, p.fail
	if p.only > 0 {
		if p.only--; p.only == 0 {
			p.status, p.fail = 0, nil
		}
	}
	if fail != nil {
		return nil, fail
	}
	resp := message.NewResponse(200)
	resp.Local, resp.Proto = false, message.HTTP11
	h := &resp.Header
	content := string(body)
	if status != 0 {
		resp.Status, content = status, p.body
	} else {
		for _, f := range [][2]string{
			{"Method", r.Method},
			{"Path", r.Path},
			{"Service", name},
			{"Stripped", r.X.Stripped},
			{"Count", strconv.Itoa(p.count)},
		} {
			if f[1] != "" {
				_ = h.Add("X-Seen-"+f[0], strings.Clone(f[1]))
			}
		}
		if r.HasQuery {
			_ = h.Add("X-Seen-Query", strings.Clone(r.Query))
		}
		for _, f := range r.Header.Fields() {
			_ = h.Add("X-Seen-"+strings.Clone(f.Name), strings.Clone(f.Value))
		}
	}
	for _, f := range p.fields {
		h.Append(f)
	}
	for _, f := range p.trailers {
		resp.Trailer.Append(f)
	}
	resp.Body, resp.Length = message.Bytes([]byte(content)), int64(len(content))
	if r.Method == "HEAD" {
		resp.Body = message.NoBody
	}
	return resp, nil
}

// configOf makes a filled Config as package config does, from JSON in the place of YAML.
func configOf(word, text string) (Config, error) {
	mk, ok := Kinds()[word]
	if !ok {
		return nil, fmt.Errorf("there is no filter %q", word)
	}
	c := mk()
	text = strings.TrimSpace(text)
	if text == "" {
		return c, nil
	}
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		if text[0] == '{' || text[0] == '[' {
			return nil, fmt.Errorf("filter %s: %w", word, err)
		}
		v = text
	}
	return c, fill(reflect.ValueOf(c).Elem(), v)
}

func fill(dst reflect.Value, v any) error {
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		return fill(dst.Elem(), v)
	}
	if m, ok := v.(map[string]any); ok {
		return fillMap(dst, m)
	}
	if list, ok := v.([]any); ok {
		return fillList(dst, list)
	}
	text := fmt.Sprint(v)
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](dst.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	if dst.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		dst.SetInt(int64(d))
		return err
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
		return nil
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return json.Unmarshal([]byte(text), dst.Addr().Interface())
	default:
		return fmt.Errorf("%s can't be %q", dst.Type(), text)
	}
}

func fillList(dst reflect.Value, list []any) error {
	if u, ok := reflect.TypeAssert[interface{ UnmarshalList(list []string) error }](dst.Addr()); ok {
		var words []string
		for _, v := range list {
			words = append(words, fmt.Sprint(v))
		}
		return u.UnmarshalList(words)
	}
	if dst.Kind() != reflect.Slice {
		return fmt.Errorf("%s is no list", dst.Type())
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	for i, v := range list {
		if err := fill(dst.Index(i), v); err != nil {
			return err
		}
	}
	return nil
}

func fillMap(dst reflect.Value, m map[string]any) error {
	switch dst.Kind() {
	case reflect.Map:
		dst.Set(reflect.MakeMap(dst.Type()))
		for k, v := range m {
			e := reflect.New(dst.Type().Elem()).Elem()
			if err := fill(e, v); err != nil {
				return err
			}
			dst.SetMapIndex(reflect.ValueOf(k), e)
		}
		return nil
	case reflect.Struct:
		for k, v := range m {
			i := 0
			for i < dst.NumField() && dst.Type().Field(i).Tag.Get("yaml") != k {
				i++
			}
			if i == dst.NumField() {
				return fmt.Errorf("%s has no key %q", dst.Type(), k)
			}
			if err := fill(dst.Field(i), v); err != nil {
				return err
			}
		}
		return nil
	default:
		return errors.New(dst.Type().String() + " is no mapping")
	}
}

package filter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// Split sends each request to one of several services, by weight. It answers
// for the route: nothing after it runs. Short form: a list of "SERVICE WEIGHT".
type Split struct {
	// To lists the variants; the first is the base that the others grow out of (required).
	To []Variant `yaml:"to"`
	// By chooses: "random" (default), "header", "client" (its address, IPv6 by /64) or "cookie".
	By string `yaml:"by"`
	// Header is the field whose value chooses with by: header; without it the client's address does.
	Header string `yaml:"header"`
	// MaxAge is how long a browser keeps the cookie of by: cookie (default 0s: until it is closed).
	MaxAge time.Duration `yaml:"max-age"`
	// Salt makes header and client choose as another split with the same salt
	// does (default: the route's name).
	Salt string `yaml:"salt"`
}

// Variant is one service of a split.
type Variant struct {
	// Service is its name (required).
	Service string `yaml:"service"`
	// Weight is its share, relative to the sum of all (default 0: only clients
	// that hold its cookie).
	Weight int `yaml:"weight"`
	// Name stands in the cookie and in X-Maru-Variant (default: the service).
	Name string `yaml:"name"`
	// Drain gives up clients that hold its cookie (default false).
	Drain bool `yaml:"drain"`
}

// UnmarshalList reads "SERVICE WEIGHT" entries.
func (c *Split) UnmarshalList(list []string) error {
	c.To = nil
	for _, text := range list {
		service, weight, _ := strings.Cut(strings.TrimSpace(text), " ")
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(weight), "%"))
		if err != nil {
			return fmt.Errorf("%q is not a service with its weight; write one such as canary 10", text)
		}
		c.To = append(c.To, Variant{Service: service, Weight: n})
	}
	return nil
}

const (
	slots       = 10_000
	maxVariants = 16
)

type splitter struct {
	env      Env
	by       string
	header   string
	seed     uint64
	variants []variant
	table    []uint8 // slot → variant
	cookie   string
}

type variant struct {
	name    string
	service Func
	drain   bool
	token   string // what its cookie holds: name.MAC
	// The whole Set-Cookie values, for plain and for TLS connections.
	set, setSecure string
}

// Filter is the constructor.
func (c *Split) Filter(env Env) (Filter, error) {
	var f faults
	s := splitter{env: env, by: c.By, header: c.Header}
	c.check(&f)
	weights := make([]int, len(c.To))
	seen := map[string]bool{}
	sum := 0
	for i := range c.To {
		v := &c.To[i]
		s.variants = append(s.variants, f.variant(env, at("to", i), v, seen))
		weights[i] = max(v.Weight, 0)
		sum += weights[i]
	}
	if len(c.To) > 0 && sum == 0 && len(f) == 0 {
		f.at("to", "all weights are 0: nobody could be sent anywhere").WithFix("give one service a weight")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	if s.by == "" {
		s.by = "random"
	}
	salt := c.Salt
	if salt == "" {
		salt = env.Route
	}
	s.seed = hash64(0, salt)
	s.table = assign(s.variants, weights, sum)
	s.cookies(c.MaxAge)
	return func(Func) Func { return s.do }, nil
}

func (c *Split) check(f *faults) {
	if len(c.To) < 2 {
		f.at("to", "split needs two services or more").WithFix("list them with their weights; for one service use to: of the route")
	}
	if len(c.To) > maxVariants {
		f.at("to", "%d services are more than %d", len(c.To), maxVariants).WithFix("split in two steps")
	}
	if c.By != "" {
		f.oneOf("by", c.By, "random", "header", "client", "cookie")
	}
	switch {
	case c.By == "header":
		if !message.ValidToken(c.Header) {
			f.at("header", "by: header needs the name of a field").WithFix("write header: X-User-Id")
		}
	case c.Header != "":
		f.at("header", "header is used only with by: header").WithFix("write by: header, or remove it")
	}
	if c.MaxAge < 0 || c.MaxAge%time.Second != 0 {
		f.at("max-age", "%v is not a number of whole seconds", c.MaxAge).WithFix("write one such as 24h")
	}
	if c.MaxAge > 0 && c.By != "cookie" {
		f.at("max-age", "max-age is used only with by: cookie").WithFix("write by: cookie, or remove it")
	}
}

func (f *faults) variant(env Env, path string, v *Variant, seen map[string]bool) variant {
	out := variant{name: v.Name, drain: v.Drain}
	if out.name == "" {
		out.name = v.Service
	}
	if v.Weight < 0 || v.Weight > 1_000_000 {
		f.at(path+".weight", "%d is not a weight", v.Weight).WithFix("write a number from 0 to 1000000")
	}
	if v.Service == "" {
		f.at(path+".service", "the variant names no service").WithFix("name one of the services")
		return out
	}
	if !message.ValidToken(out.name) || strings.ContainsAny(out.name, ".") {
		f.at(path+".name", "%q can't stand in a cookie", out.name).WithFix("use letters, digits, dashes and underscores")
	}
	if seen[out.name] {
		f.at(path+".name", "%q stands twice", out.name).WithFix("give each variant a name of its own")
	}
	seen[out.name] = true
	fn, err := env.Service(v.Service)
	if err != nil {
		f.at(path+".service", "%v", err).WithFix("name one of the services")
	}
	out.service = fn
	return out
}

// assign deals the slots out. Every variant but the first takes its share from
// the front of an order of the slots that is its own, so that a share that
// grows keeps what it had: nobody who saw the new version is sent back. The
// first gets the rest.
func assign(variants []variant, weights []int, sum int) []uint8 {
	table := make([]uint8, slots)
	order := make([]int, slots)
	for i := 1; i < len(variants); i++ {
		for k := range order {
			order[k] = k
		}
		src := rand.New(rand.NewPCG(hash64(1, variants[i].name), hash64(2, variants[i].name))) //nolint:gosec // the same order at each load is the point
		src.Shuffle(slots, func(a, b int) { order[a], order[b] = order[b], order[a] })
		want := weights[i] * slots / sum
		if weights[i] > 0 && want == 0 {
			want = 1
		}
		for _, k := range order {
			if want == 0 {
				break
			}
			if table[k] == 0 {
				table[k] = uint8(i)
				want--
			}
		}
	}
	if weights[0] == 0 { // rounding left a few slots; the base must get none
		last := uint8(0)
		for i := range weights {
			if weights[i] > 0 {
				last = uint8(i)
			}
		}
		for k := range table {
			if table[k] == 0 {
				table[k] = last
			}
		}
	}
	return table
}

// cookies prepares everything that by: cookie sends and compares. The MAC keeps
// clients from choosing; it covers the route, so that a cookie of one split says
// nothing to another.
func (s *splitter) cookies(maxAge time.Duration) {
	name := make([]byte, 0, 64)
	name = append(name, "maru_split_"...)
	for i := range len(s.env.Route) {
		c := s.env.Route[i]
		if !message.TokenOctet(c) {
			c = '_'
		}
		name = append(name, c)
	}
	s.cookie = string(name)
	key := s.env.Secret("split")
	for i := range s.variants {
		v := &s.variants[i]
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%d:%s%s", len(s.env.Route), s.env.Route, v.name) // a hash never fails
		v.token = v.name + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
		v.set = s.cookie + "=" + v.token + "; Path=/; HttpOnly; SameSite=Lax"
		if maxAge > 0 {
			v.set += "; Max-Age=" + strconv.FormatInt(int64(maxAge/time.Second), 10)
		}
		v.setSecure = v.set + "; Secure"
	}
}

func (s *splitter) do(r *message.Request) (*message.Response, error) {
	v := s.forced(r)
	if v != nil || s.by != "cookie" {
		if v == nil {
			v = s.choose(r)
		}
		return v.service(r)
	}
	if v = s.sticky(r); v != nil {
		return v.service(r)
	}
	v = s.choose(r)
	resp, err := v.service(r)
	if err != nil {
		return nil, err
	}
	set := v.set
	if r.Scheme == "https" {
		set = v.setSecure
	}
	resp.Header.AppendID(message.SetCookie, set)
	return resp, nil
}

// forced is what X-Maru-Variant asks for; only a trusted peer may ask.
func (s *splitter) forced(r *message.Request) *variant {
	if !r.X.Trusted || !r.Header.Has(message.XMaruVariant) {
		return nil
	}
	name := r.Header.Value(message.XMaruVariant)
	for i := range s.variants {
		if s.variants[i].name == name {
			return &s.variants[i]
		}
	}
	return nil
}

// sticky is the variant of a valid cookie that still takes its clients.
func (s *splitter) sticky(r *message.Request) *variant {
	got, ok := cookie(&r.Header, s.cookie)
	if !ok {
		return nil
	}
	for i := range s.variants {
		if v := &s.variants[i]; sameSecret(got, v.token) && !v.drain {
			return v
		}
	}
	return nil
}

func (s *splitter) choose(r *message.Request) *variant {
	var slot uint64
	value := ""
	if s.by == "header" {
		value = r.Header.Get(s.header)
	}
	switch {
	case value != "":
		slot = hash64(s.seed, value) % slots
	case s.by == "header" || s.by == "client":
		slot = hashAddr(s.seed, r.X.Client) % slots
	default:
		slot = min(uint64(s.env.Float()*slots), slots-1)
	}
	return &s.variants[s.table[slot]]
}

// hash64 is FNV-1a with a final mix: the same in every process and release,
// because clients' variants hang on it.
func hash64(seed uint64, s string) uint64 {
	h := seed ^ 14695981039346656037
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// hashAddr takes an IPv6 address by its /64, which is what one client has.
func hashAddr(seed uint64, a netip.Addr) uint64 {
	h := seed ^ 14695981039346656037
	if a = a.Unmap(); a.Is4() {
		for _, b := range a.As4() {
			h = (h ^ uint64(b)) * 1099511628211
		}
		return mix(h)
	}
	all := a.As16()
	for _, b := range all[:8] {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xFF51AFD7ED558CCD
	h ^= h >> 33
	h *= 0xC4CEB9FE1A85EC53
	return h ^ h>>33
}

package registry

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// kind is which listing is asked for.
type kind uint8

const (
	listAll kind = iota
	listDelta
	listApp
	listVIP
	listSecureVIP
)

// what names a listing: of an application or a virtual address, or all.
type what struct {
	kind kind
	name string
}

// Bounds of the cached bodies.
const (
	mostBodies   = 4096
	worthPacking = 1024 // bytes from which gzip is worth it
	largeBody    = 1 << 20
	mostPlain    = 64                     // instances of a listing that is built in plain before it is packed
	largeFor     = 200 * time.Millisecond // a large packed listing is given out so long under churn
)

// bodyName names a body.
type bodyName struct {
	what   what
	style  style
	packed bool
}

// body is an answer that is built once.
type body struct {
	once  sync.Once
	bytes []byte // nil: there is none
	built time.Duration
}

// bodies are the answers of one edition of the registry.
type bodies struct {
	mu      sync.Mutex
	edition uint64
	all     map[bodyName]*body
	large   map[bodyName]*body // packed listings that may be a little older
	packers sync.Pool          // of *gzip.Writer
	pieces  sync.Pool          // of *flate.Writer
}

// place gives the body of a name at an edition, which may have to be built yet.
func (bs *bodies) place(n bodyName, edition uint64, now time.Duration) *body {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if old := bs.large[n]; old != nil && now-old.built < largeFor {
		return old
	}
	if bs.all == nil || bs.edition < edition {
		bs.all, bs.edition = make(map[bodyName]*body), edition
	}
	if bs.edition != edition {
		return new(body) // built for an older edition at this moment: not kept
	}
	b := bs.all[n]
	if b == nil {
		b = new(body)
		if len(bs.all) < mostBodies {
			bs.all[n] = b
		}
	}
	return b
}

// keep notes a large packed body for those who ask within the next moment.
func (bs *bodies) keep(n bodyName, b *body) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.large == nil {
		bs.large = make(map[bodyName]*body)
	}
	bs.large[n] = b
}

// listing answers a listing from the cached bodies.
func (c *call) listing(w what) {
	if !c.g.opened.Load() {
		c.empty(http.StatusForbidden)
		return
	}
	if !c.g.reads.take(c.g.cfg.Load().ReadLimit, c.g.env.Elapsed()) {
		c.g.totals.throttled.Add(1)
		c.empty(http.StatusServiceUnavailable)
		return
	}
	n := bodyName{what: w, style: c.style(), packed: c.gzipped()}
	b := c.g.body(n)
	if b == nil {
		c.empty(http.StatusNotFound)
		return
	}
	mime := "application/json"
	if n.style.xml {
		mime = "application/xml"
	}
	isPacked := n.packed && len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b // RFC 1952 §2.3.1
	c.send(mime, b, isPacked)
}

// body gives the bytes of a listing; nil when there is no such application.
func (g *Registry) body(n bodyName) []byte {
	g.mu.RLock()
	edition := g.edition
	g.mu.RUnlock()
	now := g.env.Elapsed()
	b := g.bodies.place(n, edition, now)
	b.once.Do(func() {
		if n.packed {
			g.pack(n, b)
		} else {
			b.bytes = g.build(n)
		}
	})
	return b.bytes
}

// pack builds a packed body. A large listing goes to the packer application by
// application: all of it in plain would be most of the registry's memory.
func (g *Registry) pack(n bodyName, b *body) {
	if p, version, ok := g.picture(n.what); ok && p.members() > mostPlain {
		size := 0
		if p.members() >= worthPiecing*len(p.apps) {
			b.bytes, size = g.pieced(&p, version, n.style)
		} else {
			b.bytes = g.packed(func(write func([]byte)) {
				p.write(version, n.style, func(part []byte) {
					size += len(part)
					write(part)
				})
			})
		}
		b.built = g.env.Elapsed()
		if size > largeBody {
			g.bodies.keep(n, b)
		}
		return
	}
	n.packed = false
	if b.bytes = g.body(n); len(b.bytes) > worthPacking {
		plain := b.bytes
		b.bytes = g.packed(func(write func([]byte)) { write(plain) })
	}
}

// pieced packs a listing of large applications.
func (g *Registry) pieced(p *picture, version string, s style) (b []byte, size int) {
	w, ok := g.bodies.pieces.Get().(*flate.Writer)
	if !ok {
		w, _ = flate.NewWriter(nil, flate.BestSpeed) // fails for levels that are none
	}
	defer g.bodies.pieces.Put(w)
	return p.packed(version, s, w)
}

// packed is gzip of what is written, at the level that costs least: listings are
// polled.
func (g *Registry) packed(source func(write func([]byte))) []byte {
	var out bytes.Buffer
	w, ok := g.bodies.packers.Get().(*gzip.Writer)
	if !ok {
		w, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for levels that are none
	}
	w.Reset(&out)
	source(func(part []byte) { _, _ = w.Write(part) }) // a buffer takes all
	_ = w.Close()
	g.bodies.packers.Put(w)
	return slices.Clip(out.Bytes())
}

// picture is what a listing is built from, all of one moment.
type picture struct {
	apps []*application
	hash string
}

// picture takes what a listing shows, with its version; false for that of one
// application, which has neither hash nor version.
func (g *Registry) picture(w what) (p picture, version string, ok bool) {
	switch w.kind {
	case listDelta:
		return g.delta(), strconv.FormatUint(g.deltas.Add(1), 10), true
	case listVIP, listSecureVIP:
		return g.reached(w), "-1", true
	case listApp:
		return picture{}, "", false
	default:
		return g.whole(), "1", true
	}
}

// members is how many instances a picture shows.
func (p *picture) members() int {
	n := 0
	for _, app := range p.apps {
		n += len(app.members)
	}
	return n
}

// build writes a listing.
func (g *Registry) build(n bodyName) []byte {
	if p, version, ok := g.picture(n.what); ok {
		b := make([]byte, 0, 128+64*len(p.apps)+1100*p.members())
		p.write(version, n.style, func(part []byte) { b = append(b, part...) })
		return b
	}
	g.mu.RLock()
	app := g.apps[n.what.name]
	g.mu.RUnlock()
	if app == nil {
		return nil
	}
	if n.style.xml {
		return appendApplication(nil, app, n.style)
	}
	return append(appendApplication([]byte(`{"application":`), app, n.style), '}')
}

// whole is the full listing, applications by name.
func (g *Registry) whole() picture {
	g.mu.RLock()
	p := picture{apps: slices.Collect(maps.Values(g.apps)), hash: hash(&g.counts)}
	g.mu.RUnlock()
	p.sort()
	return p
}

func (p *picture) sort() {
	slices.SortFunc(p.apps, func(a, b *application) int { return cmpStrings(a.name, b.name) })
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// delta is each instance that changed of late, with its latest state, and the
// hash of the full registry at the same moment.
func (g *Registry) delta() picture {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trim(g.env.Elapsed())
	recent := make([]*record, 0, g.log.Len())
	for e := g.log.Front(); e != nil; e = e.Next() {
		recent = append(recent, e.Value.(*change).record) //nolint:forcetypeassert,errcheck // the list holds nothing else
	}
	apps := grouped(recent)
	for i, a := range apps {
		if whole := g.apps[a.name]; whole != nil && len(whole.members) == len(a.members) && a.alive() {
			apps[i] = whole // the same instances, and its encodings are kept
		}
	}
	return picture{apps, hash(&g.counts)}
}

// alive tells that no instance left.
func (a *application) alive() bool {
	return !slices.ContainsFunc(a.members, func(rec *record) bool { return rec.Action == Deleted })
}

// reached is the instances behind a virtual address, of every status.
func (g *Registry) reached(w what) picture {
	all := g.whole()
	var found []*record
	var counts [statuses]int
	for _, app := range all.apps {
		for _, rec := range app.members {
			address := rec.VIP
			if w.kind == listSecureVIP {
				address = rec.SecureVIP
			}
			if matches(address, w.name) {
				found = append(found, rec)
				counts[rec.Status]++
			}
		}
	}
	return picture{grouped(found), hash(&counts)}
}

// grouped puts records under their applications, by name.
func grouped(list []*record) []*application {
	byName := make(map[string]*application)
	var p picture
	for _, rec := range list {
		app := byName[rec.App]
		if app == nil {
			app = &application{name: rec.App}
			byName[rec.App] = app
			p.apps = append(p.apps, app)
		}
		app.members = append(app.members, rec)
	}
	p.sort()
	return p.apps
}

// write gives the listing to out in parts, which out must not keep.
func (p *picture) write(version string, s style, out func([]byte)) {
	head, tail := listingFrame(p.hash, version, s)
	out([]byte(head))
	var b []byte
	for i, app := range p.apps {
		if b = b[:0]; i > 0 && !s.xml {
			b = append(b, ',')
		}
		b = appendApplication(b, app, s)
		out(b)
	}
	out([]byte(tail))
}

// listingFrame is what stands around the applications of a listing.
func listingFrame(hash, version string, s style) (head, tail string) {
	if s.xml {
		return "<applications><versions__delta>" + version + "</versions__delta><apps__hashcode>" + hash + "</apps__hashcode>", "</applications>"
	}
	return `{"applications":{"versions__delta":"` + version + `","apps__hashcode":"` + hash + `","application":[`, "]}}"
}

func appendApplication(b []byte, app *application, s style) []byte {
	if s.xml {
		w := xmlWriter{append(b, "<application>"...)}
		w.text("name", app.name)
		b = w.b
		for _, rec := range app.members {
			b = append(b, rec.encode(s)...)
		}
		return append(b, "</application>"...)
	}
	b = append(b, `{"name":`...)
	b = append(appendQuoted(b, app.name), `,"instance":[`...)
	for i, rec := range app.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, rec.encode(s)...)
	}
	return append(b, `]}`...)
}

// index numbers the styles.
func (s style) index() int {
	i := 0
	for bit, on := range [...]bool{s.xml, s.compact, s.legacy} {
		if on {
			i |= 1 << bit
		}
	}
	return i
}

// encode gives the record in a style, encoded once; the time of the last renewal
// in it is that of the encoding.
func (rec *record) encode(s style) []byte {
	i := s.index()
	if b := rec.encoded[i].Load(); b != nil {
		return *b
	}
	var b []byte
	if s.xml {
		b = appendXML(nil, rec.Instance, rec.lease.wall.Load(), s)
	} else {
		b = appendJSON(nil, rec.Instance, rec.lease.wall.Load(), s)
	}
	b = slices.Clip(b)
	rec.encoded[i].Store(&b)
	return b
}

package metrics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/maru-msa/maru/upstream"
)

// View is the board at one moment, as JSON gives it. Times are milliseconds,
// rates per second over the last ten seconds, percentages 0 to 100.
type View struct {
	At            int64         `json:"at"` // Unix milliseconds
	ConfigVersion int           `json:"config_version"`
	WindowSeconds int           `json:"window_s"`
	Totals        TotalsView    `json:"totals"`
	History       []MomentView  `json:"history"` // oldest first
	Services      []ServiceView `json:"services"`
	Routes        []RouteView   `json:"routes"`
}

// TotalsView are all exchanges as their clients saw them, local answers and
// refusals included: the lines of the access log.
type TotalsView struct {
	RPS          float64 `json:"rps"`
	ErrorPercent float64 `json:"error_percent"`
	P50          float64 `json:"p50_ms"`
	P90          float64 `json:"p90_ms"`
	P99          float64 `json:"p99_ms"`
	InFlight     int     `json:"in_flight"`
	Requests     uint64  `json:"requests"`
	Errors       uint64  `json:"errors"` // answers 5xx
}

// MomentView are the totals of one second.
type MomentView struct {
	At           int64   `json:"at"` // Unix milliseconds, its end
	RPS          float64 `json:"rps"`
	ErrorPercent float64 `json:"error_percent"`
	P99          float64 `json:"p99_ms"`
}

// ServiceView is one service. Requests and Errors are lines of the access log
// that name it; Counts are what its breaker saw.
type ServiceView struct {
	Name         string      `json:"name"`
	RPS          float64     `json:"rps"`
	Requests     uint64      `json:"requests"`
	Errors       uint64      `json:"errors"`
	ErrorPercent float64     `json:"error_percent"`
	Mean         float64     `json:"mean_ms"`
	P50          float64     `json:"p50_ms"`
	P90          float64     `json:"p90_ms"`
	P99          float64     `json:"p99_ms"`
	InFlight     int         `json:"in_flight"`
	RPSHistory   []float64   `json:"rps_history"` // a minute, oldest first
	Breaker      BreakerView `json:"breaker"`
	Limit        LimitView   `json:"limit"`
	Budget       BudgetView  `json:"budget"`
	Retried      uint64      `json:"retried"`
	Fallbacks    uint64      `json:"fallbacks"`
	Counts       CountsView  `json:"counts"`
	Up           int         `json:"endpoints_up"`
	Out          int         `json:"endpoints_out"`
	Endpoints    int         `json:"endpoints"`
	Panic        bool        `json:"panic"`
	Source       SourceView  `json:"source"`
}

// BreakerView is a service's circuit breaker.
type BreakerView struct {
	State  string  `json:"state"` // closed, open, half-open, off
	Mode   string  `json:"mode"`  // auto, forced-open, forced-closed, observe
	Opened uint64  `json:"opened"`
	Wait   float64 `json:"wait_ms"` // until an open one lets a call through
}

// LimitView is a service's adaptive limit and the queue before it.
type LimitView struct {
	Off      bool   `json:"off"`
	Now      int    `json:"now"`
	InFlight int    `json:"in_flight"`
	Waiting  int    `json:"waiting"`
	Queue    int    `json:"queue"` // room for so many to wait
	Shed     uint64 `json:"shed"`
}

// BudgetView is a service's retry budget.
type BudgetView struct {
	Taken   uint64 `json:"taken"`
	Refused uint64 `json:"refused"`
}

// CountsView are final outcomes of the last ten seconds.
type CountsView struct {
	Success        uint64 `json:"success"`
	Failure        uint64 `json:"failure"`
	Timeout        uint64 `json:"timeout"`
	Rejected       uint64 `json:"rejected"`
	ShortCircuited uint64 `json:"short_circuited"`
	BadRequest     uint64 `json:"bad_request"`
	Cancelled      uint64 `json:"cancelled"`
	Slow           uint64 `json:"slow"`
}

// SourceView says where a service's endpoints come from, and how old they are
// while that fails.
type SourceView struct {
	Kind  string  `json:"kind"` // file, dns, registry, urls
	Error string  `json:"error"`
	Age   float64 `json:"age_s"`
}

// RouteView is one route.
type RouteView struct {
	Name         string  `json:"name"`
	RPS          float64 `json:"rps"`
	Requests     uint64  `json:"requests"`
	ErrorPercent float64 `json:"error_percent"`
}

// mostRoutes is how many routes a board shows: with more, those with the most
// requests.
const mostRoutes = 1000

// View gives the board as of the last sample.
func (b *Board) View() View {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view()
}

func (b *Board) view() View {
	v := View{At: b.at.UnixMilli(), WindowSeconds: window, History: b.moments(), Routes: b.routeViews()}
	if b.Version != nil {
		v.ConfigVersion = b.Version()
	}
	v.Services = make([]ServiceView, 0, len(b.services))
	fellBack := b.fellBack()
	for _, c := range b.Clusters() {
		s := b.serviceView(c)
		s.Fallbacks = fellBack[s.Name]
		v.Totals.InFlight += s.InFlight
		v.Services = append(v.Services, s)
	}
	t := &v.Totals
	for k := range min(window, b.tick) {
		i := (b.tick - k) % history
		t.Requests += b.requests[i]
		t.Errors += b.errors[i]
	}
	t.RPS, t.ErrorPercent = perSecond(t.Requests, b.span(window)), percent(t.Errors, t.Requests)
	latency := b.totals.Latency
	if b.tick > 0 {
		latency.Since(&b.latency[(b.tick+1)%window])
	}
	t.P50, t.P90, t.P99 = ms(latency.Quantile(0.5)), ms(latency.Quantile(0.9)), ms(latency.Quantile(0.99))
	return v
}

func (b *Board) moments() []MomentView {
	n := min(history, b.tick)
	out := make([]MomentView, n)
	at := b.at
	for k := range n {
		i := (b.tick - k) % history
		out[n-1-k] = MomentView{at.UnixMilli(), perSecond(b.requests[i], b.spans[i]), percent(b.errors[i], b.requests[i]), ms(b.p99[i])}
		at = at.Add(-b.spans[i])
	}
	return out
}

func (b *Board) serviceView(c *upstream.Cluster) ServiceView {
	stats := c.Stats()
	v := ServiceView{Name: stats.Name, Source: SourceView{Kind: c.SourceKind(), Error: stats.SourceError}, RPSHistory: []float64{}}
	if stats.SourceError != "" && !stats.SourceGood.IsZero() {
		v.Source.Age = round(time.Since(stats.SourceGood).Seconds())
	}
	for i := range stats.Endpoints {
		e := &stats.Endpoints[i]
		v.InFlight += e.InFlight
		v.Endpoints++
		if e.State == upstream.Up {
			v.Up++
		}
	}
	v.Out, v.Panic = v.Endpoints-v.Up, stats.Panic
	v.guard(&stats.Guard)
	if s := b.services[stats.Name]; s != nil {
		v.Requests, v.Errors = s.window()
		v.RPS, v.ErrorPercent = perSecond(v.Requests, b.span(window)), percent(v.Errors, v.Requests)
		v.RPSHistory = make([]float64, spark)
		for k := range min(spark, b.tick) {
			v.RPSHistory[spark-1-k] = perSecond(uint64(s.requests[(b.tick-k)%spark]), b.spans[(b.tick-k)%history])
		}
	}
	return v
}

// guard fills in what the service's guard counted.
func (v *ServiceView) guard(g *upstream.GuardStats) {
	v.Mean, v.P50, v.P90, v.P99 = ms(g.Latency.Mean), ms(g.Latency.P50), ms(g.Latency.P90), ms(g.Latency.P99)
	v.Breaker = BreakerView{g.Breaker.State.String(), g.Breaker.Mode.String(), g.Breaker.Opened, ms(g.BreakerWait)}
	if g.BreakerOff {
		v.Breaker.State = "off"
	}
	v.Limit = LimitView{Off: g.LimitOff, Now: g.Limit, InFlight: g.InFlight, Waiting: g.Waiting, Queue: g.Queue}
	for _, n := range g.Shed {
		v.Limit.Shed += n
	}
	v.Budget = BudgetView{g.Budget.Taken, g.Budget.Refused}
	v.Retried, v.Counts = g.Retried, CountsView(g.Counts)
}

func (b *Board) routeViews() []RouteView {
	out := make([]RouteView, 0, len(b.routes))
	span := b.span(window)
	for name, s := range b.routes {
		if name == "" { // what no route took
			continue
		}
		requests, errors := s.window()
		out = append(out, RouteView{name, perSecond(requests, span), requests, percent(errors, requests)})
	}
	if len(out) > mostRoutes {
		slices.SortFunc(out, func(a, b RouteView) int {
			return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Name, b.Name))
		})
		out = out[:mostRoutes]
	}
	slices.SortFunc(out, func(a, b RouteView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func perSecond(n uint64, span time.Duration) float64 { return round(float64(n) / span.Seconds()) }

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return round(float64(part) * 100 / float64(whole))
}

func ms(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round leaves two digits: more are noise that costs bytes on each tick.
func round(f float64) float64 { return math.Round(f*100) / 100 }

// frame is the board as the readers of one sample get it.
type frame struct {
	tick  int
	event []byte // a server-sent event
	json  []byte // its data, a part of it
	body  []byte // the part of json that holds more than times
	// version counts frames that say something new.
	version int
}

// current gives the frame of the last sample, made by whoever asks first.
func (b *Board) current() *frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.frame
	if old != nil && old.tick == b.tick {
		return old
	}
	v := b.view()
	b.frame = newFrame(&v)
	b.frame.tick, b.frame.version = b.tick, 1
	if old != nil {
		b.frame.version = old.version
		if !bytes.Equal(old.body, b.frame.body) {
			b.frame.version++
		}
	}
	return b.frame
}

func newFrame(v *View) *frame {
	const before, after = "event: board\ndata: ", "\n\n"
	var buf bytes.Buffer
	part := func(name string, part any) {
		fmt.Fprintf(&buf, `,"%s":`, name)
		// Structs of numbers and strings always encode.
		_ = json.NewEncoder(&buf).Encode(part)
		buf.Truncate(buf.Len() - 1) // Encode ends the line
	}
	fmt.Fprintf(&buf, before+`{"at":%d,"window_s":%d`, v.At, v.WindowSeconds)
	part("history", v.History)
	past := buf.Len()
	part("config_version", v.ConfigVersion)
	part("totals", v.Totals)
	part("services", v.Services)
	part("routes", v.Routes)
	buf.WriteString("}" + after)
	event := buf.Bytes()
	end := len(event) - len(after)
	return &frame{event: event, json: event[len(before):end:end], body: event[past:end]}
}

// ServeView answers with the board.
func (b *Board) ServeView(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(b.current().json, '\n')) // the caller is gone
}

// refresh is how often a board that does not change is sent all the same: its
// history moves on.
const refresh = 5 * time.Second

// ServeStream answers with the board as server-sent events: at once, then after
// each sample; a comment instead while nothing but the time is new.
func (b *Board) ServeStream(w http.ResponseWriter, r *http.Request) {
	if !b.seats.enter(w) {
		return
	}
	defer b.seats.leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	out := b.seats.open(w)
	var sent time.Time
	version := 0
	for {
		next := b.wait()
		f := b.current()
		event := []byte(": ping\n\n")
		if now := time.Now(); f.version != version || now.Sub(sent) >= refresh {
			sent, version, event = now, f.version, f.event
		}
		if !out.send(event) {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-next:
		}
	}
}

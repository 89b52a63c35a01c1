package upstream

import (
	"fmt"
	"strconv"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/resilience"
)

// off is the word that turns a part of the guard off.
const off = "off"

// Breaker refuses requests to the service while most of them would fail or be
// slow. Short form: the mode, such as off or observe.
type Breaker struct {
	// Mode is auto (default), observe, which counts and never opens, forced-open,
	// forced-closed, or off.
	Mode string `yaml:"mode"`
	// Like "hystrix" takes Hystrix' defaults: 10 s, 20 requests, 50 %, 5 s
	// (default none).
	Like string `yaml:"like"`
	// Volume is how many outcomes a window of 1 s or 10 s needs to count (default 20).
	Volume int `yaml:"volume"`
	// Errors is the percentage of errors that opens (default 50; -1 turns it off).
	Errors int `yaml:"errors"`
	// SlowCalls is the percentage of slow calls that opens (default 80; -1 turns it off).
	SlowCalls int `yaml:"slow-calls"`
	// Slow is the least time that counts as slow (default 1s; five times the
	// service's median where that is more).
	Slow time.Duration `yaml:"slow"`
	// Open is how long it stays open first (default 2s); doubled to at most 8s.
	Open time.Duration `yaml:"open"`
}

// Limit bounds the requests that wait for the head of the service's answer.
// Short form: off, the algorithm, or a number for one that is fixed.
type Limit struct {
	// Algorithm is gradient (default), aimd, vegas, fixed or off.
	Algorithm string `yaml:"algorithm"`
	// Initial is where the limit begins (default 50; 20 for aimd; it is the limit
	// of fixed).
	Initial int `yaml:"initial"`
	// Min is the least it falls to (default 10; 20 for aimd).
	Min int `yaml:"min"`
	// Max is the most it grows to (default 10000; 200 for aimd).
	Max int `yaml:"max"`
	// Queue is how many requests may wait for a place (default half of the limit;
	// -1 for none).
	Queue int `yaml:"queue"`
}

// Retry sends a request once more, to another endpoint, where that does no harm.
// Short form: off, or attempts.
type Retry struct {
	// Attempts is how often a request is sent at most, the first time included
	// (default 2; 1 turns retries off).
	Attempts int `yaml:"attempts"`
	// Backoff is the longest wait before the first retry (default 25ms); it
	// doubles with each. The wait is any time up to it.
	Backoff time.Duration `yaml:"backoff"`
	// Budget is the percentage of the service's requests that may be sent again
	// (default 20). Hedges, and the filter retry, take from it too.
	Budget int `yaml:"budget"`
}

// UnmarshalText takes the short form, the mode.
func (b *Breaker) UnmarshalText(text []byte) error {
	*b = Breaker{Mode: string(text)}
	return nil
}

// UnmarshalText takes the short form: a number, or the algorithm.
func (l *Limit) UnmarshalText(text []byte) error {
	if n, err := strconv.Atoi(string(text)); err == nil {
		*l = Limit{Algorithm: "fixed", Initial: n}
		return nil
	}
	*l = Limit{Algorithm: string(text)}
	return nil
}

// UnmarshalText takes the short form: off, or attempts.
func (r *Retry) UnmarshalText(text []byte) error {
	if string(text) == off {
		*r = Retry{Attempts: 1}
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%q is no number of attempts; write one such as 2, or off", text)
	}
	*r = Retry{Attempts: n}
	return nil
}

func (b Breaker) withDefaults() Breaker {
	if b.Mode == "" {
		b.Mode = resilience.Auto.String()
	}
	return b
}

func (l Limit) withDefaults() Limit {
	if l.Algorithm == "" {
		l.Algorithm = "gradient"
	}
	return l
}

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 2
	}
	if r.Backoff == 0 {
		r.Backoff = 25 * time.Millisecond
	}
	if r.Budget == 0 {
		r.Budget = 20
	}
	return r
}

// algorithm gives the algorithm of a word.
func algorithm(word string) (resilience.Algorithm, bool) {
	switch word {
	case "gradient":
		return resilience.Gradient, true
	case "aimd":
		return resilience.AIMD, true
	case "vegas":
		return resilience.Vegas, true
	case "fixed":
		return resilience.Fixed, true
	}
	return 0, false
}

// checkGuard checks the keys of this file.
func (c *Config) checkGuard() error {
	return diag.Join(
		diag.Under("breaker", c.Breaker.check()),
		diag.Under("limit", c.Limit.check()),
		diag.Under("retry", c.Retry.check()),
	)
}

func (b *Breaker) check() error {
	var errs []error
	if _, known := resilience.ParseMode(b.Mode); !known && b.Mode != off {
		errs = append(errs, diag.At("mode", "%q is not a mode of breakers", b.Mode).WithFix("write auto, observe, forced-open, forced-closed or off"))
	}
	if b.Like != "" && b.Like != "hystrix" {
		errs = append(errs, diag.At("like", "%q is not known here", b.Like).WithFix("write like: hystrix, or leave it out"))
	}
	for _, n := range []struct {
		key            string
		n, least, most int
		fix            string
	}{
		{"volume", b.Volume, 0, 100_000, "write one such as 20"},
		{"errors", b.Errors, -1, 100, "write one such as 50, or -1 for none"},
		{"slow-calls", b.SlowCalls, -1, 100, "write one such as 80, or -1 for none"},
	} {
		if n.n < n.least || n.n > n.most {
			errs = append(errs, diag.At(n.key, "%d is not between 1 and %d", n.n, n.most).WithFix("%s", n.fix))
		}
	}
	for _, t := range []struct {
		key string
		d   time.Duration
	}{{"slow", b.Slow}, {"open", b.Open}} {
		if t.d < 0 || t.d > 10*time.Minute || t.d > 0 && t.d < time.Millisecond {
			errs = append(errs, diag.At(t.key, "%v is not between 1ms and 10m", t.d).WithFix("write a time such as 2s"))
		}
	}
	return diag.Join(errs...)
}

// maxLimit is the highest limit that means something.
const maxLimit = 1_000_000

func (l *Limit) check() error {
	var errs []error
	a, known := algorithm(l.Algorithm)
	if !known && l.Algorithm != off {
		errs = append(errs, diag.At("algorithm", "%q is not a way of limiting", l.Algorithm).WithFix("write a number, gradient, aimd, vegas or off"))
	}
	fixed := known && a == resilience.Fixed
	switch {
	case fixed && (l.Initial < 1 || l.Initial > maxLimit):
		errs = append(errs, diag.At("initial", "%d is not between 1 and %d", l.Initial, maxLimit).WithFix("write the limit, such as 100"))
	case fixed && (l.Min != 0 || l.Max != 0):
		errs = append(errs, diag.At("min", "min and max are for limits that move, and this one is fixed").WithFix("remove them, or write algorithm: gradient"))
	case l.Initial < 0 || l.Initial > maxLimit:
		errs = append(errs, diag.At("initial", "%d is not between 1 and %d", l.Initial, maxLimit).WithFix("write one such as 50"))
	}
	if l.Min < 0 || l.Max < 0 || l.Max > maxLimit || l.Max > 0 && max(l.Min, 1) > l.Max {
		errs = append(errs, diag.At("max", "%d to %d is no range", l.Min, l.Max).WithFix("write a max above min"))
	}
	if l.Queue < -1 || l.Queue > maxLimit {
		errs = append(errs, diag.At("queue", "%d is not between 1 and %d", l.Queue, maxLimit).WithFix("write one such as 50, or -1 for none"))
	}
	return diag.Join(errs...)
}

func (r *Retry) check() error {
	var errs []error
	if r.Attempts < 1 || r.Attempts > 10 {
		errs = append(errs, diag.At("attempts", "%d is not between 1 and 10", r.Attempts).WithFix("write 2: the request, and one retry; or off"))
	}
	if r.Backoff < 0 || r.Backoff > time.Second {
		errs = append(errs, diag.At("backoff", "%v is not between 0 and 1s", r.Backoff).WithFix("write one such as 25ms"))
	}
	if r.Budget < 0 || r.Budget > 100 {
		errs = append(errs, diag.At("budget", "%d is not between 1 and 100", r.Budget).WithFix("write one such as 20"))
	}
	return diag.Join(errs...)
}

// machine is the breaker as package resilience makes it.
func (b *Breaker) machine() resilience.BreakerConfig {
	var m resilience.BreakerConfig
	if b.Like == "hystrix" {
		m = resilience.Hystrix()
	}
	if b.Volume != 0 {
		m.Volume = b.Volume
	}
	if b.Errors != 0 {
		m.ErrorPercent = b.Errors
	}
	if b.SlowCalls != 0 {
		m.SlowPercent = b.SlowCalls
	}
	if b.Slow != 0 {
		m.Slow = b.Slow
	}
	if b.Open != 0 {
		m.Open = b.Open
	}
	return m
}

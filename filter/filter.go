// Package filter holds what can happen to a request between its route and its
// service: one file per filter, named as its YAML word.
//
// The flow: config fills a filter's Config from the file; edge calls
// [Config.Filter] once, at Build, and folds the results around the service into
// one [Func] per route. At run time a filter wraps the rest of the chain: it
// may change the request, answer itself, call next (at most once unless it is a
// retry), and change the response value that comes back.
//
// A filter returns errors (problem kinds), it never writes them; it keeps
// nothing of a message after it returns; its plain path does not allocate.
package filter

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/resilience"
)

// Func handles one request. It returns a response that the caller must Release,
// or an error (a *problem.Error for anything a client should understand); never
// both, never neither.
type Func func(*message.Request) (*message.Response, error)

// Filter wraps the rest of a chain. It is called once, at Build.
type Filter func(next Func) Func

// Config is a filter's YAML struct and its constructor. Filter starts nothing;
// it returns field errors of package diag (all of them, joined).
type Config interface {
	Filter(env Env) (Filter, error)
}

// Env is what a filter may use of the house. Fields are never nil unless said so.
type Env struct {
	// Route is the name of the route, for messages and cookie names.
	Route string
	// To is the service that the chain leads to, and ToKey its whole definition;
	// both are empty where it may lead to several (a listener, all routes) or none.
	To, ToKey string
	// Guard is what that service shares with the filters before it; nil where To
	// is empty.
	Guard Guard
	// Contract is the contract of the service that the chain leads to; without a
	// File where there is none.
	Contract contract.Config
	// LoadContract loads a contract. Its errors are field errors at the path.
	LoadContract func(path string, cfg contract.Config) (*contract.Contract, error)
	// Service gives a service of the configuration as a Func; the error says
	// that there is none of that name.
	Service func(name string) (Func, error)
	// Keep gives a piece of state that survives a reload while key (the whole
	// definition of its owner) stays the same: the state of the previous
	// configuration, or what fresh returns. Nothing is started by it.
	Keep func(key string, fresh func() any) any
	// Log is for operators; a filter logs only what nobody else will.
	Log *slog.Logger
	// Secret derives a key of 32 bytes for a purpose, stable over restarts
	// while the operator's secret is: for MACs in cookies.
	Secret func(purpose string) []byte
	// Count adds 1 to the counter maru_filter_total{filter, route, reason}.
	Count func(filter, reason string)
	// Now and Float are the clock and a random number in [0, 1).
	Now   func() time.Time
	Float func() float64
}

// Guard is the part of a service's own protection that filters take part in.
type Guard interface {
	// Budget bounds the service's retries and hedges together.
	Budget() *resilience.Budget
	// HedgeAfter is the time that 95 % of its calls stay within; false says that
	// too little is known.
	HedgeAfter() (time.Duration, bool)
	// FellBack counts an answer that was given in place of the service's.
	FellBack()
}

// Bare is an Env for tests and library users: no services, no kept state.
func Bare() Env {
	return Env{
		Route:   "test",
		Service: func(string) (Func, error) { return nil, errNoService },
		LoadContract: func(path string, cfg contract.Config) (*contract.Contract, error) {
			return LoadContract(nil, path, cfg)
		},
		Keep:   func(_ string, mk func() any) any { return mk() },
		Log:    slog.New(slog.DiscardHandler),
		Secret: func(string) []byte { return make([]byte, 32) },
		Count:  func(string, string) {},
		Now:    time.Now,
		Float:  rand.Float64,
	}
}

// Chain folds filters around last: the first one sees the request first.
func Chain(last Func, filters ...Filter) Func {
	for _, filter := range slices.Backward(filters) {
		last = filter(last)
	}
	return last
}

// Named is one entry of a filter list as the file has it: the word and its
// filled Config.
type Named struct {
	Word   string
	Config Config
}

package edge

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/upstream"
)

// viewNames lists the views in the order of their rules, which come after those of
// the routes.
func (c *Config) viewNames() []string { return slices.Sorted(maps.Keys(c.Views)) }

// RulePath is the path in the configuration of the i-th rule of the table: a
// route, or a view.
func (c *Config) RulePath(i int) string {
	if i < len(c.Routes) {
		return diag.Index("routes", i)
	}
	if names := c.viewNames(); i-len(c.Routes) < len(names) {
		return "views." + names[i-len(c.Routes)]
	}
	return "graphql"
}

// ComposedRule is the rule of a view or of the GraphQL front door: its match and
// its name.
type ComposedRule struct {
	Match route.Match
	Name  string
}

// ComposedRules are the rules behind those of the routes, in the order of
// [Config.RulePath]. The error is a field error with the rule's path.
func (c *Config) ComposedRules() ([]ComposedRule, error) {
	var out []ComposedRule
	var faults []error
	for _, name := range c.viewNames() {
		m, err := viewMatch(name)
		faults = append(faults, diag.Under("views."+name, err))
		out = append(out, ComposedRule{m, name})
	}
	if c.GraphQL != nil {
		for _, path := range c.GraphQL.Paths() {
			m, err := viewMatch(path)
			faults = append(faults, diag.Under("graphql.path", err))
			out = append(out, ComposedRule{m, "graphql"})
		}
	}
	return out, diag.Join(faults...)
}

// viewMatch is the match of a view's key, "GET /home/{id}".
func viewMatch(key string) (m route.Match, err error) {
	err = m.UnmarshalText([]byte(key))
	return m, err //nolint:wrapcheck // a field error
}

// composed compiles the graph with its views and the GraphQL front door, and gives
// each a rule.
func (b *builder) composed(global []filter.Filter) []route.Rule[*entry] {
	cfg := &b.rt.Config
	if len(cfg.Views) == 0 && len(cfg.Compose.Graph.Types) == 0 && len(cfg.Compose.Graph.Query) == 0 && cfg.GraphQL == nil {
		return nil
	}
	views := make(map[string]aggregate.ViewConfig, len(cfg.Views))
	for name, v := range cfg.Views { //nolint:gocritic // once at load
		views[name] = v.ViewConfig
	}
	b.overHTTP2()
	g, err := aggregate.Compile(cfg.Compose, views, aggregate.Env{
		Service: b.caller, Crew: maxCrew, Whole: cfg.GraphQL != nil, ReadFile: b.readFile, Log: b.rt.env.Log, Count: func(view, code string) { b.rt.env.Count("view", view, code) },
	})
	b.fault("", err)
	b.rt.graph = g
	door := b.graphql(g)
	list, err := cfg.ComposedRules()
	b.fault("", err)
	rules := make([]route.Rule[*entry], 0, len(list))
	for i, r := range list {
		path, last, own := "graphql", door, []filter.Named(nil)
		if i < len(cfg.Views) {
			path, last, own = "views."+r.Name, nil, cfg.Views[r.Name].Filters
			if g != nil && g.Views()[r.Name] != nil {
				last = g.Views()[r.Name].Do
			}
		} else {
			own = cfg.GraphQL.Filters
		}
		e := b.composedEntry(path, r.Name, own, global, last)
		if i < len(cfg.Views) && g != nil {
			e.view = g.Views()[r.Name]
		}
		rules = append(rules, route.Rule[*entry]{Match: r.Match, Name: r.Name, Value: e})
	}
	return rules
}

// maxCrew is how many goroutines of views wait for calls to make.
const maxCrew = 256

// composedEntry is what a view or the GraphQL front door leads to; last is nil when
// it could not be made, which is a fault by then.
func (b *builder) composedEntry(path, name string, list []filter.Named, global []filter.Filter, last filter.Func) *entry {
	e := &entry{name: name, timeout: defaultTimeout}
	own, words := b.filters(path+".filters", name, "", list)
	for _, n := range b.rt.Config.Filters {
		e.words = append(e.words, n.Word)
	}
	e.words = append(e.words, words...)
	if last != nil {
		e.chain = filter.Chain(last, slices.Concat(global, own)...)
	}
	return e
}

// overHTTP2 finds gRPC sources whose service is spoken to in HTTP/1.
func (b *builder) overHTTP2() {
	for _, name := range slices.Sorted(maps.Keys(b.rt.Config.Compose.Sources)) {
		service := b.rt.Config.Compose.Sources[name].GRPC
		s, ok := b.rt.Config.Services[service]
		if ok && s.HTTP != upstream.HTTP2 && s.HTTP != upstream.HTTP2C {
			b.fault("sources."+name+".grpc", diag.At("", "gRPC needs HTTP/2, and the service %s is spoken to in HTTP/1", service).
				WithFix("write http: 2c at the service, or http: 2 with TLS"))
		}
	}
}

// caller gives a service for views; nil when there is none.
func (b *builder) caller(name string) aggregate.Caller {
	fn, err := b.rt.service(name)
	if err != nil {
		return nil
	}
	return func(r *message.Request) (*message.Response, error) { return fn(r) }
}

// faultsOf puts the paths of views in place of those of rules behind the routes.
func (c *Config) faultsOf(err error) error {
	err = diag.Under("routes", err)
	for _, e := range diag.Flatten(err) { // copies: Under made them
		e.Path = c.pathOf(e.Path)
		for i := range e.Related {
			e.Related[i] = c.pathOf(e.Related[i])
		}
	}
	return err
}

func (c *Config) pathOf(path string) string {
	inner, ok := strings.CutPrefix(path, "routes[")
	number, _, closed := strings.Cut(inner, "]")
	if i, err := strconv.Atoi(number); ok && closed && err == nil && i >= len(c.Routes) {
		return c.RulePath(i)
	}
	return path
}

// Graph is what views are compiled from; nil without.
func (rt *Runtime) Graph() *aggregate.Graph { return rt.graph }

// ViewServices lists the services that views call.
func (c *Config) ViewServices() []string {
	views := make(map[string]aggregate.ViewConfig, len(c.Views))
	for name, v := range c.Views { //nolint:gocritic // once at load
		views[name] = v.ViewConfig
	}
	return c.Compose.Services(views)
}

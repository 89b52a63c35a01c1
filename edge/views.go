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
	return "views"
}

// ViewMatch is the match of a view's key, "GET /home/{id}".
func ViewMatch(key string) (m route.Match, err error) {
	err = m.UnmarshalText([]byte(key))
	return m, err //nolint:wrapcheck // a field error
}

// views compiles the views and gives each a rule.
func (b *builder) views(global []filter.Filter) []route.Rule[*entry] {
	cfg := &b.rt.Config
	if len(cfg.Views) == 0 && len(cfg.Compose.Graph.Types) == 0 {
		return nil
	}
	views := make(map[string]aggregate.ViewConfig, len(cfg.Views))
	for name, v := range cfg.Views { //nolint:gocritic // once at load
		views[name] = v.ViewConfig
	}
	g, err := aggregate.Compile(cfg.Compose, views, aggregate.Env{
		Service: b.caller, Log: b.rt.env.Log, Count: func(view, code string) { b.rt.env.Count("view", view, code) },
	})
	b.fault("", err)
	var rules []route.Rule[*entry]
	for _, name := range cfg.viewNames() {
		m, err := ViewMatch(name)
		b.fault("views."+name, err)
		e := &entry{name: name, timeout: defaultTimeout}
		own, words := b.filters("views."+name+".filters", name, "", cfg.Views[name].Filters)
		for _, n := range cfg.Filters {
			e.words = append(e.words, n.Word)
		}
		e.words = append(e.words, words...)
		if g != nil && g.Views()[name] != nil {
			e.chain = filter.Chain(g.Views()[name].Do, slices.Concat(global, own)...)
		}
		rules = append(rules, route.Rule[*entry]{Match: m, Name: name, Value: e})
	}
	b.rt.graph = g
	return rules
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

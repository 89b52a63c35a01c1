package edge

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
)

// This file lets people look at views: what each does, and what one run takes.

// ViewInfo is one view for a list.
type ViewInfo struct {
	// View is its key, "GET /home/{id}", and At where the file has it.
	View string `json:"view"`
	At   string `json:"at,omitempty"`
	// Filters in order, those of every route first.
	Filters []string `json:"filters"`
	// Plans are its variants by client; the only one of a view for all has no client.
	Plans []aggregate.Explanation `json:"plans"`
}

// ViewsInfo lists the views by their keys. place is as for [Runtime.Explain].
func (rt *Runtime) ViewsInfo(place func(path string) string) []ViewInfo {
	out := []ViewInfo{}
	for i := range rt.rules {
		e := rt.rules[i].Value
		if e.view == nil {
			continue
		}
		info := ViewInfo{View: rt.rules[i].Name, Filters: append([]string{}, e.words...), Plans: e.view.Explain()}
		if place != nil {
			info.At = place(rt.Config.RulePath(i))
		}
		out = append(out, info)
	}
	return out
}

// RunView explains a request and runs its view, without the view's filters and with
// the services' own. The answer is thrown away; what it took is in the plan. A view
// with a call that changes something is refused. An error says that the query is
// wrong.
func (rt *Runtime) RunView(q ExplainQuery, place func(path string) string) (*Explanation, error) {
	if place == nil {
		place = func(string) string { return "" }
	}
	r := message.NewRequest()
	defer r.Release()
	x, err := rt.asked(r, q, place)
	if err != nil || x.View == nil {
		return x, err
	}
	v := rt.viewOf(x)
	p, err := v.Plan(r)
	if err == nil {
		x.View, err = v.TracePlan(p, r)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // a problem's words
	}
	return x, nil
}

// viewOf is the view that takes an explained request; nil when a route does.
func (rt *Runtime) viewOf(x *Explanation) *aggregate.View {
	if rt.graph == nil || x.Verdict != route.Found.String() {
		return nil
	}
	for i := range rt.rules { // a view's key is no route's name: it holds a space and a path
		if rt.rules[i].Name == x.Route && rt.rules[i].Value.view != nil {
			return rt.rules[i].Value.view
		}
	}
	return nil
}

// asClient makes a query that names one of clients: a request of it.
func (rt *Runtime) asClient(q *ExplainQuery) {
	for _, c := range rt.Config.Compose.Clients {
		if c.Name != q.Client || c.Name == "" {
			continue
		}
		q.Client, q.Headers = "", slices.Clone(q.Headers)
		if name, value, ok := strings.Cut(c.Header, ":"); ok {
			q.Headers = append(q.Headers, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
		} else if c.Query != "" {
			between := "?"
			if strings.Contains(q.URL, "?") {
				between = "&"
			}
			q.URL += between + c.Query
		}
		return
	}
}

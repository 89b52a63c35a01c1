package krakend

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// eachNamespace calls fn for the namespaces of an extra_config; what fn does not
// take has no equal.
func (im *importer) eachNamespace(o *sketch.Object, fn func(name string, at, value *config.Tree) bool) (shut string) {
	if o == nil {
		return ""
	}
	o.Rest(func(key, value *config.Tree) {
		if fn(key.Text, key, value) {
			return
		}
		g := namespace(key.Text)
		if im.gap(key, o.Path+"."+sketch.Shorten(key.Text), &g) && shut == "" {
			shut = key.Text + " " + g.words
		}
		im.below(value, o.Path+"."+key.Text)
	})
	return shut
}

// below names the lines of a value whose key has a finding.
func (im *importer) below(t *config.Tree, path string) {
	if last := sketch.LastLine(t); last > t.Line || len(t.Entries) > 0 {
		im.file.Notes = append(im.file.Notes, from(t)+": "+path+": see the finding")
	}
}

// extra reads the extra_config of an endpoint.
func (e *endpoint) extra(o *sketch.Object) {
	why := e.eachNamespace(o, func(name string, _, value *config.Tree) bool {
		if name != "proxy" {
			return false
		}
		p := e.Object(value, o.Path+".proxy")
		if p == nil {
			return true
		}
		e.sequential = p.True("sequential")
		e.staticData(p.Object("static"))
		e.rest(p, map[string]gap{
			"combiner":                     {words: "is not imported: parts are merged", fix: "write the merge that you want: docs/import-krakend.md", look: true},
			"flatmap_filter":               {words: "has no equal", fix: "select from the list: [CEL], aliases over paths, @group; or let the service answer so", shut: true},
			"shadow":                       {words: "has no equal here", fix: "attach the filter mirror", look: true},
			"sequential_propagated_params": {words: "has no equal", fix: "refer to earlier answers by name: {users.id}"},
			"max_payload":                  {words: "is not imported", fix: "write the filter body with a size", look: true},
			"decompress_gzip":              {words: "is not needed: bodies are decompressed by the filter decompress", fix: "attach the filter decompress", look: true},
		})
		return true
	})
	if why != "" && e.off == "" {
		e.off = why
	}
}

// staticData reads what stands in for answers that are missing.
func (e *endpoint) staticData(o *sketch.Object) {
	if o == nil {
		return
	}
	when := o.Text("strategy")
	if when == "" {
		when = "always"
	}
	if data := o.Object("data"); data != nil {
		data.Rest(func(key, value *config.Tree) {
			e.static = append(e.static, static{key.Text, e.json(value), key, when})
		})
	}
	e.rest(o, nil)
}

// json writes a value of the file as JSON again. Scalars in quotes are strings.
func (im *importer) json(t *config.Tree) string {
	var b strings.Builder
	im.writeJSON(&b, t)
	return b.String()
}

func (im *importer) writeJSON(b *strings.Builder, t *config.Tree) {
	switch t.Kind {
	case config.TreeMapping:
		b.WriteByte('{')
		for i, e := range t.Entries {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quoteJSON(e.Key.Text) + ":")
			im.writeJSON(b, e.Value)
		}
		b.WriteByte('}')
	case config.TreeList:
		b.WriteByte('[')
		for i, item := range t.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			im.writeJSON(b, item)
		}
		b.WriteByte(']')
	case config.TreeNull:
		b.WriteString("null")
	case config.TreeScalar:
		if !im.inQuotes(t) && json.Valid([]byte(t.Text)) {
			b.WriteString(t.Text)
		} else {
			b.WriteString(quoteJSON(t.Text))
		}
	}
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // no string makes one
		return `""`
	}
	return string(b)
}

// inQuotes tells whether a scalar is written in quotes.
func (im *importer) inQuotes(t *config.Tree) bool {
	if t.Line < 1 || t.Line > len(im.text) {
		return false
	}
	line := []rune(im.text[t.Line-1])
	return t.Column >= 1 && t.Column <= len(line) && (line[t.Column-1] == '"' || line[t.Column-1] == '\'')
}

// backendExtra reads the extra_config of a backend.
func (e *endpoint) backendExtra(b *backend, o *sketch.Object) {
	why := e.eachNamespace(o, func(name string, at, value *config.Tree) bool {
		path := o.Path + "." + name
		switch name {
		case "qos/circuit-breaker":
			e.breaker(b, e.Object(value, path), at)
		case "qos/http-cache":
			e.cache(b, e.Object(value, path), at)
		case "proxy":
			p := e.Object(value, path)
			if p == nil {
				return true
			}
			if p.Get("flatmap_filter") != nil {
				e.shut(p.Key("flatmap_filter"), "flatmap", "select from the list: [CEL], aliases over paths, @group; or let the service answer so", path+".flatmap_filter has no equal")
				e.below(p.Get("flatmap_filter"), path)
			}
			e.rest(p, map[string]gap{"shadow": {words: "has no equal here", fix: "attach the filter mirror", look: true}})
		default:
			return false
		}
		return true
	})
	if why != "" && e.off == "" {
		e.off = why
	}
}

// breaker maps a circuit breaker to the key of the service.
func (e *endpoint) breaker(b *backend, o *sketch.Object, at *config.Tree) {
	if o == nil {
		return
	}
	v := sketch.Map()
	if n, ok := o.Number("max_errors"); ok && n > 0 {
		v = v.With("volume", sketch.Number(n))
	}
	if n, ok := o.Number("timeout"); ok && n > 0 {
		v = v.With("open", sketch.Span(time.Duration(n)*time.Second))
	}
	o.Number("interval")
	o.Text("name")
	o.Text("log_status_change")
	if v.Len() > 0 {
		e.ask(b.service, "breaker", v, at)
	}
	e.Look(at, "breaker", "nothing, or write errors: and volume: at the service", "the breaker opens by a share of errors within 10 s (50 % of "+strconv.Itoa(max(1, atoi(o.Text("max_errors"))))+" or more), not by errors in a row")
	e.file.Notes = append(e.file.Notes, from(o.Tree)+": "+o.Path+" is breaker: at the service "+b.service.name)
	e.rest(o, nil)
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// cache maps the cache of a backend to the filter of the service.
func (e *endpoint) cache(b *backend, o *sketch.Object, at *config.Tree) {
	if o == nil {
		return
	}
	v := sketch.None()
	if n, ok := o.Number("max_size"); ok && n > 0 {
		v = sketch.Map(sketch.Pair("size", sketch.Text(strconv.Itoa(n)+"B")))
	}
	e.rest(o, map[string]gap{
		"shared":    {words: "is always so: all routes to a service share its cache", none: true},
		"max_items": {words: "has no equal", fix: "bound the cache by its size", look: true},
	})
	if _, ok := b.service.set["cache"]; ok {
		return
	}
	b.service.set["cache"] = v.String()
	text := "- cache"
	if !v.IsNone() {
		text += ": " + v.String()
	}
	filters := b.service.block.Add(&sketch.Block{Text: "filters:", Group: true})
	filters.Add(&sketch.Block{Text: text, Behind: from(at), At: at.Position})
	e.file.Notes = append(e.file.Notes, from(o.Tree)+": "+o.Path+" is the filter cache of the service "+b.service.name)
}

// serviceExtra reads the extra_config of the service level.
func (im *importer) serviceExtra(o *sketch.Object) {
	im.eachNamespace(o, func(name string, at, value *config.Tree) bool {
		path := o.Path + "." + name
		switch name {
		case "security/cors":
			im.cors(im.Object(value, path), at)
		case "security/http":
			im.secure(im.Object(value, path), at)
		default:
			return false
		}
		return true
	})
}

// cors maps the filter of all routes.
func (im *importer) cors(o *sketch.Object, at *config.Tree) {
	if o == nil {
		return
	}
	v := sketch.Map()
	origins := o.Texts("allow_origins")
	if len(origins) == 0 {
		origins = []string{"*"}
	}
	v = v.With("origins", sketch.Texts(origins))
	for _, k := range []struct{ theirs, ours string }{{"allow_methods", "methods"}, {"allow_headers", "headers"}, {"expose_headers", "expose"}} {
		if list := o.Texts(k.theirs); len(list) > 0 {
			v = v.With(k.ours, sketch.Texts(list))
		}
	}
	if d, ok := im.duration(o, "max_age"); ok {
		v = v.With("max-age", sketch.Span(d))
	}
	if o.True("allow_credentials") {
		v = v.With("credentials", sketch.Word("true"))
	}
	im.unknown(o, map[string]gap{
		"debug":                  {words: "has no equal", fix: "look into the access log", look: true},
		"options_passthrough":    {words: "has no equal: preflight requests are answered here", fix: "nothing, or a route for OPTIONS", look: true},
		"options_success_status": {words: "has no equal: preflight requests are answered 204", fix: "nothing", look: true},
		"allow_private_network":  {words: "has no equal", fix: "add Access-Control-Allow-Private-Network by the filter headers"},
	})
	im.filters.Add(&sketch.Block{Text: "- cors: " + v.String(), Above: from(o.Tree), At: at.Position})
}

// secure maps the headers of security/http.
func (im *importer) secure(o *sketch.Object, at *config.Tree) {
	if o == nil {
		return
	}
	set := sketch.Map()
	add := func(name, text string) {
		if text != "" {
			set = set.With(name, sketch.Text(strings.ReplaceAll(text, "{", "{{")))
		}
	}
	frame := ""
	if o.True("frame_deny") {
		frame = "DENY"
	}
	if t := o.Text("custom_frame_options_value"); t != "" {
		frame = t
	}
	add("X-Frame-Options", frame)
	if o.True("content_type_nosniff") {
		add("X-Content-Type-Options", "nosniff")
	}
	if o.True("browser_xss_filter") {
		add("X-XSS-Protection", "1; mode=block")
	}
	add("Content-Security-Policy", o.Text("content_security_policy"))
	add("Referrer-Policy", o.Text("referrer_policy"))
	include, preload := o.True("sts_include_subdomains"), o.True("sts_preload")
	if n, ok := o.Number("sts_seconds"); ok && n > 0 {
		sts := "max-age=" + strconv.Itoa(n)
		if include {
			sts += "; includeSubDomains"
		}
		if preload {
			sts += "; preload"
		}
		add("Strict-Transport-Security", sts)
	}
	im.unknown(o, map[string]gap{
		"allowed_hosts":           {words: "is not imported", fix: "give the routes their host: match: { host: … }"},
		"allowed_hosts_are_regex": {words: "is not imported", fix: "give the routes their host: match: { host: … }"},
		"host_proxy_headers":      {words: "is not imported", fix: "write trusted-proxies at the listener"},
		"ssl_redirect":            {words: "is not imported", fix: "attach the filter rewrite: { ssl-redirect: true }"},
		"ssl_host":                {words: "is not imported", fix: "attach the filter redirect"},
		"ssl_proxy_headers":       {words: "is not imported", fix: "write trusted-proxies at the listener"},
		"ssl_temporary_redirect":  {words: "is not imported", fix: "attach the filter redirect"},
		"hpkp_public_key":         {words: "is not imported: browsers have dropped it", fix: "remove it", look: true},
		"is_development":          {words: "is not imported", fix: "nothing", look: true},
		"force_sts_header":        {words: "is not needed: the header is always sent", fix: "nothing", look: true},
	})
	if set.Len() > 0 {
		v := sketch.Map(sketch.Pair("response", sketch.Map(sketch.Pair("set", set))))
		im.filters.Add(&sketch.Block{Text: "- headers: " + v.String(), Above: from(o.Tree), At: at.Position})
	} else {
		im.file.Notes = append(im.file.Notes, from(o.Tree)+": "+o.Path+" sets nothing")
	}
}

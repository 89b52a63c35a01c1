package aggregate

import (
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// Config is what views and GraphQL are compiled from, as the file has it: how to
// call (sources), what relates to what (graph), and who asks (clients).
type Config struct {
	// Sources say how services are called for views. A service without an entry
	// is an HTTP source under its own name.
	Sources map[string]SourceConfig `yaml:"sources"`
	// Graph names the types that answers are made of, and how they are linked.
	Graph GraphConfig `yaml:"graph"`
	// Fragments are selections that views share by their name: ...name.
	Fragments map[string]string `yaml:"fragments"`
	// Clients tell variants of a view apart; the first that fits a request counts.
	Clients []ClientConfig `yaml:"clients"`
	// Limits bound what one request may cost.
	Limits LimitsConfig `yaml:"limits"`
}

// SourceConfig is how one service is called for views. It speaks JSON over HTTP
// unless one of grpc, graphql and static says otherwise.
type SourceConfig struct {
	// HTTP names the service, when it is not the source's own name.
	HTTP string `yaml:"http"`
	// GRPC names the service of a source that speaks gRPC; the service needs
	// http: 2c or 2. Contract is then its .proto file or its descriptor set.
	GRPC string `yaml:"grpc"`
	// GraphQL names the service of a source that speaks GraphQL.
	GraphQL string `yaml:"graphql"`
	// Static is the source's answer to every call, as a value of this file: no
	// service is called.
	Static any `yaml:"static"`
	// Path is where a GraphQL service answers (default /graphql).
	Path string `yaml:"path"`
	// Longs "number" writes 64-bit integers of a gRPC source as numbers (default:
	// as strings, which is what JSON of protocol buffers does).
	Longs string `yaml:"longs"`
	// Contract is the file with the source's OpenAPI document or JSON Schema, or
	// of a gRPC source its .proto file or descriptor set (.binpb, .pb); default
	// none: fields that need a type say it.
	Contract string `yaml:"contract"`
	// Timeout of one call (default: what the view's budget leaves).
	Timeout time.Duration `yaml:"timeout"`
	// Optional makes parts from this source null when it fails, also those that
	// are required by default.
	Optional bool `yaml:"optional"`
	// Vary are request fields that are forwarded and change the answer; declared,
	// also as [], it lets requests under way share one call.
	Vary *[]string `yaml:"vary"`
	// Forward are request fields that are forwarded and change nothing.
	Forward []string `yaml:"forward"`
	// Concurrent is how many calls of one request may be under way at the source
	// at once (default 32).
	Concurrent int `yaml:"concurrent"`
	// Media "any" takes answers of every media type (default: JSON ones only).
	Media string `yaml:"media"`
}

// GraphConfig names types. Query and Mutation hold roots besides those that
// types with a key give by themselves.
type GraphConfig struct {
	// Query are calls that start a selection.
	Query map[string]RootConfig `yaml:"Query"`
	// Mutation are calls that change something: they run in written order.
	Mutation map[string]RootConfig `yaml:"Mutation"`
	// Types by their name.
	Types map[string]TypeConfig `yaml:",rest"`
}

// RootConfig is one entry of Query or Mutation.
type RootConfig struct {
	// Type of the answer: "Member", "[Restaurant]".
	Type string `yaml:"type"`
	// Args by name, each a type with a default if it has one: "Int = 10".
	Args map[string]string `yaml:"args"`
	// Call that gives it: "restaurant GET /restaurants/top?n={first} at items".
	Call CallConfig `yaml:"call"`
}

// TypeConfig is one type of the graph.
type TypeConfig struct {
	// Key is the field that tells two of them apart, or the fields.
	Key KeyConfig `yaml:"key"`
	// One call gives one of them by its key.
	One *CallConfig `yaml:"one"`
	// Many gives several by their keys in one call.
	Many *CallConfig `yaml:"many"`
	// By gives lists of them by the value of a field that is no key.
	By map[string]ByConfig `yaml:"by"`
	// Fields by name: "_" (the same name), "a.b" (a path), "a.b as Int!", or a link
	// to another type by its key, "Type(arg: path)"; [Type] for a list of them.
	Fields map[string]string `yaml:"fields"`
	// Union lists the types of a union instead; Tag is the field that tells which.
	Union []string `yaml:"union"`
	// Tag is the field whose value names the union's member.
	Tag string `yaml:"tag"`
}

// ByConfig gives lists of a type by a field's value: one call a value, or many
// values a call.
type ByConfig struct {
	// One call gives the list of one value.
	One *CallConfig `yaml:"one"`
	// Many gives the lists of several values in one call.
	Many *CallConfig `yaml:"many"`
}

// KeyConfig is the key of a type: a field, several, or {field: type}.
type KeyConfig struct {
	// Fields in order.
	Fields []string `yaml:"fields"`
	// Text compares keys as text, so that 1 and "1" are the same.
	Text bool `yaml:"text"`
}

// UnmarshalText reads one field.
func (k *KeyConfig) UnmarshalText(text []byte) error {
	k.Fields = []string{string(text)}
	return nil
}

// UnmarshalList reads several.
func (k *KeyConfig) UnmarshalList(list []string) error {
	k.Fields = list
	return nil
}

// CallConfig is one call. The short form is "source METHOD /path?query [at path]
// [-> name]"; to a gRPC source "source package.Service/Method"; to a GraphQL source
// "source field(arg: {name})" or "source _entities Type(key)".
type CallConfig struct {
	// Call is the short form.
	Call string `yaml:"call"`
	// Body is sent as JSON; "{name}" as a whole value keeps its type.
	Body any `yaml:"body"`
	// Headers are fields to send, with templates.
	Headers map[string]string `yaml:"headers"`
	// At is the path in the answer where the value is (default: all of it).
	At string `yaml:"at"`
	// Pair says how answers are matched with keys: "key" (default), "position",
	// "map", "group", or {group: field, at: path}.
	Pair PairConfig `yaml:"pair"`
	// Max is how many keys one call takes (default 100).
	Max int `yaml:"max"`
	// Timeout of the call (default the source's).
	Timeout time.Duration `yaml:"timeout"`
	// When is a condition (CEL); without it the call is always made.
	When string `yaml:"when"`
	// Idempotent tells that sending it twice is the same as once, also for POST.
	Idempotent bool `yaml:"idempotent"`
	// Strict fails the part when the answer has a key twice, or errors beside the
	// data of a GraphQL source.
	Strict bool `yaml:"strict"`
	// As names the answer in a merge.
	As string `yaml:"as"`
}

// UnmarshalText reads the short form.
func (c *CallConfig) UnmarshalText(text []byte) error {
	c.Call = string(text)
	return nil
}

// PairConfig is how the elements of an answer find their keys.
type PairConfig struct {
	// How is "key", "position", "map" or "group".
	How string `yaml:"how"`
	// Group is the member that holds a group's key.
	Group string `yaml:"group"`
	// At is where a group's elements are.
	At string `yaml:"at"`
}

// UnmarshalText reads the word.
func (p *PairConfig) UnmarshalText(text []byte) error {
	switch word := string(text); word {
	case "key", "position", "map", "group":
		p.How = word
		return nil
	default:
		return diag.At("", "%q is not one of key, position, map and group", word).WithFix("write one of them, or {group: FIELD, at: PATH}")
	}
}

// ClientConfig is one kind of client.
type ClientConfig struct {
	// Name that select: uses.
	Name string `yaml:",key"`
	// Header is a field with its value: "X-Client: mobile".
	Header string `yaml:"header"`
	// Query is a parameter with its value: "client=mobile".
	Query string `yaml:"query"`
	// Default takes every request that no other takes; one client must be it.
	Default bool `yaml:"default"`
}

// ViewConfig is one composed answer, saved under its method and path.
type ViewConfig struct {
	// Budget is the time for the whole answer (default 1s).
	Budget time.Duration `yaml:"budget"`
	// Select says what the answer holds, for all clients or by client.
	Select SelectConfig `yaml:"select"`
	// Merge makes the answer of whole calls instead, without a graph.
	Merge []CallConfig `yaml:"merge"`
	// Inputs are values of the request besides the path's: "Int = 5", or
	// {type, enum, from}.
	Inputs map[string]InputConfig `yaml:"inputs"`
	// Parts say what happens when a part fails, by its path: "required", "null",
	// "default JSON", "stale AGE", "omit".
	Parts map[string]string `yaml:"parts"`
	// Partial is how a client learns that parts failed: "header" (default), "body"
	// or "refuse".
	Partial string `yaml:"partial"`
	// Conflict "order" lets entries of a merge overwrite members of earlier ones.
	Conflict string `yaml:"conflict"`
	// Mask "off" turns ?fields= off.
	Mask string `yaml:"mask"`
	// Grace is how long optional parts get once the required ones are there
	// (default 20ms).
	Grace *time.Duration `yaml:"grace"`
}

// SelectConfig holds a selection for each client; the one under "" is for all.
type SelectConfig map[string]string

// UnmarshalText reads one selection for all clients.
func (s *SelectConfig) UnmarshalText(text []byte) error {
	*s = SelectConfig{"": string(text)}
	return nil
}

// InputConfig is one input of a view. The short form is a type with a default:
// "Int = 5".
type InputConfig struct {
	// Type is String, Int, Float, Boolean or ID, "!" for required (default String).
	Type string `yaml:"type"`
	// Enum lists the values that are allowed.
	Enum []string `yaml:"enum"`
	// From is "query" (default), "query NAME" or "header NAME".
	From string `yaml:"from"`
	// Default is what stands in when the request has none.
	Default string `yaml:"default"`
}

// UnmarshalText reads "Int = 5".
func (c *InputConfig) UnmarshalText(text []byte) error {
	typ, def, _ := strings.Cut(string(text), "=")
	c.Type, c.Default = strings.TrimSpace(typ), strings.TrimSpace(def)
	return nil
}

// LimitsConfig bounds what one request may cost.
type LimitsConfig struct {
	// Calls of one request (default 64).
	Calls int `yaml:"calls"`
	// List is the length of a list whose bound nothing says (default 1000).
	List int `yaml:"list"`
	// Keys that one gather may find (default 1000).
	Keys int `yaml:"keys"`
	// Depth of a selection (default 12).
	Depth int `yaml:"depth"`
	// Body of one answer of a source, in bytes (default 8 MiB).
	Body int64 `yaml:"body"`
	// Bodies of one request together, in bytes (default 32 MiB).
	Bodies int64 `yaml:"bodies"`
	// Output in bytes (default 32 MiB).
	Output int64 `yaml:"output"`
}

func (l LimitsConfig) withDefaults() LimitsConfig {
	for _, d := range []struct {
		at  *int
		def int
	}{{&l.Calls, 64}, {&l.List, 1000}, {&l.Keys, 1000}, {&l.Depth, 12}} {
		if *d.at == 0 {
			*d.at = d.def
		}
	}
	for _, d := range []struct {
		at  *int64
		def int64
	}{{&l.Body, 8 << 20}, {&l.Bodies, 32 << 20}, {&l.Output, 32 << 20}} {
		if *d.at == 0 {
			*d.at = d.def
		}
	}
	return l
}

// Services lists the services that the calls of a Config and its views name.
func (c *Config) Services(views map[string]ViewConfig) []string {
	names := make(map[string]bool)
	add := func(call *CallConfig) {
		if call == nil {
			return
		}
		name, _, _ := strings.Cut(strings.TrimSpace(call.Call), " ")
		if s, ok := c.Sources[name]; ok { //nolint:gocritic // once at load
			name = s.service(name)
		}
		if name != "" {
			names[name] = true
		}
	}
	for _, roots := range []map[string]RootConfig{c.Graph.Query, c.Graph.Mutation} {
		for _, r := range roots { //nolint:gocritic // once at load
			add(&r.Call)
		}
	}
	for _, t := range c.Graph.Types { //nolint:gocritic // once at load
		add(t.One)
		add(t.Many)
		for _, by := range t.By {
			add(by.One)
			add(by.Many)
		}
	}
	for _, v := range views { //nolint:gocritic // once at load
		for i := range v.Merge {
			add(&v.Merge[i])
		}
	}
	return sortedKeys(names)
}

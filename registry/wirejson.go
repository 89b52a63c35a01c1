package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// UnmarshalJSON takes a string, a number, a boolean or null.
func (t *text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case '{', '[':
		return errors.New("a text is expected")
	case 'n':
		*t = ""
	default:
		*t = text(b)
	}
	return nil
}

// UnmarshalJSON takes a number, a string that holds one, or null.
func (n *number) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return errors.New("a number is expected")
	}
	*n = parseNumber(string(t))
	return nil
}

// UnmarshalJSON takes {"$": n, "@enabled": "true"}, or the number alone.
func (p *postedPort) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return p.Number.UnmarshalJSON(b)
	}
	type plain postedPort // without this method
	return json.Unmarshal(b, (*plain)(p))
}

// pairs are metadata.
type pairs []Pair

// UnmarshalJSON takes an object of scalars, or null.
func (p *pairs) UnmarshalJSON(b []byte) error {
	var m map[string]text
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	list := make([]Pair, 0, len(m))
	for k, v := range m {
		list = append(list, Pair{k, string(v)})
	}
	*p = sortPairs(list)
	return nil
}

// decodeJSON reads {"instance": {…}} or the bare instance.
func decodeJSON(body []byte) (*posted, error) {
	var outer struct {
		Instance *posted `json:"instance"`
	}
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, refuse("cannot parse request body: %v", err)
	}
	if outer.Instance != nil {
		return outer.Instance, nil
	}
	bare := new(posted)
	if err := json.Unmarshal(body, bare); err != nil {
		return nil, refuse("cannot parse request body: %v", err)
	}
	return bare, nil
}

// style is how an instance is written.
type style struct {
	xml, compact bool
	// legacy writes overriddenstatus in JSON, for clients that know only that.
	legacy bool
}

// jsonWriter appends members of one object.
type jsonWriter struct {
	b     []byte
	first bool
}

func (w *jsonWriter) key(name string) {
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *jsonWriter) text(name, value string) {
	w.key(name)
	w.b = appendQuoted(w.b, value)
}

// some writes a member only when there is a value.
func (w *jsonWriter) some(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *jsonWriter) number(name string, n int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

// digits writes a number as a string.
func (w *jsonWriter) digits(name string, n int64) {
	w.key(name)
	w.b = append(w.b, '"')
	w.b = strconv.AppendInt(w.b, n, 10)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) open(name string) {
	w.key(name)
	w.b = append(w.b, '{')
	w.first = true
}

func (w *jsonWriter) close() {
	w.b = append(w.b, '}')
	w.first = false
}

func (w *jsonWriter) port(name string, p Port) {
	w.open(name)
	w.number("$", int64(p.Number))
	w.text("@enabled", strconv.FormatBool(p.Enabled))
	w.close()
}

func (w *jsonWriter) pairs(name string, list []Pair) {
	w.open(name)
	if len(list) == 0 {
		w.text("@class", emptyMapClass)
	}
	for _, p := range list {
		if !w.first {
			w.b = append(w.b, ',')
		}
		w.first = false
		w.b = appendQuoted(w.b, p.Key)
		w.b = append(w.b, ':')
		w.b = appendQuoted(w.b, p.Value)
	}
	w.close()
}

// appendJSON writes an instance as {…}, keys in the order of the specification
// (§4.2). renewed is when its lease was renewed, in milliseconds.
func appendJSON(b []byte, in *Instance, renewed int64, s style) []byte {
	w := jsonWriter{append(b, '{'), true}
	w.text("instanceId", in.ID)
	w.text("hostName", in.HostName)
	w.text("app", in.App)
	w.text("ipAddr", in.IPAddr)
	if !s.compact && in.SID != "na" {
		w.some("sid", in.SID)
	}
	w.text("status", in.Status.String())
	if !s.compact {
		overridden := "overriddenStatus"
		if s.legacy {
			overridden = "overriddenstatus"
		}
		w.text(overridden, in.Overridden.String())
	}
	w.port("port", in.Port)
	w.port("securePort", in.SecurePort)
	if !s.compact {
		w.number("countryId", int64(in.CountryID))
	}
	w.open("dataCenterInfo")
	w.text("@class", in.DataCenter.Class)
	w.text("name", in.DataCenter.Name)
	if len(in.DataCenter.Meta) > 0 {
		w.pairs("metadata", in.DataCenter.Meta)
	}
	w.close()
	if !s.compact {
		w.lease(in, renewed)
		w.pairs("metadata", in.Meta)
		w.some("appGroupName", in.Group)
		w.some("homePageUrl", in.HomePage)
		w.some("statusPageUrl", in.StatusPage)
		w.some("healthCheckUrl", in.HealthCheck)
		w.some("secureHealthCheckUrl", in.SecureHealthCheck)
	}
	w.some("vipAddress", in.VIP)
	w.some("secureVipAddress", in.SecureVIP)
	if !s.compact {
		w.text("isCoordinatingDiscoveryServer", strconv.FormatBool(in.Coordinating))
	}
	w.digits("lastUpdatedTimestamp", in.Updated)
	if !s.compact {
		w.digits("lastDirtyTimestamp", in.Dirty)
	}
	w.text("actionType", in.Action.String())
	w.some("asgName", in.ASG)
	return append(w.b, '}')
}

func (w *jsonWriter) lease(in *Instance, renewed int64) {
	w.open("leaseInfo")
	w.number("renewalIntervalInSecs", int64(in.RenewalSecs))
	w.number("durationInSecs", int64(in.DurationSecs))
	w.number("registrationTimestamp", in.Registered)
	w.number("lastRenewalTimestamp", renewed)
	w.number("evictionTimestamp", 0)
	w.number("serviceUpTimestamp", in.ServiceUp)
	w.close()
}

// appendQuoted writes a JSON string (RFC 8259 §7).
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // U+FFFD for what is no UTF-8
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}

// replicated is one item of a batch of peers (specification §10).
type replicated struct {
	App        text    `json:"appName"`
	ID         text    `json:"id"`
	Dirty      number  `json:"lastDirtyTimestamp"`
	Overridden text    `json:"overriddenStatus"`
	Status     text    `json:"status"`
	Instance   *posted `json:"instanceInfo"`
	Action     text    `json:"action"`
	// Updated is when the sender's state changed; only maru tells it, to maru.
	Updated number `json:"lastUpdatedTimestamp"`
}

// decodeBatch reads a batch.
func decodeBatch(body []byte) ([]replicated, error) {
	var batch struct {
		List []replicated `json:"replicationList"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, refuse("cannot parse request body: %v", err)
	}
	return batch.List, nil
}

// oneOrMore is a JSON array whose only element may stand alone.
type oneOrMore[T any] []T

// UnmarshalJSON takes an array, one element, or null.
func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if b[0] == '[' || bytes.Equal(b, []byte("null")) {
		return json.Unmarshal(b, (*[]T)(l))
	}
	*l = make([]T, 1)
	return json.Unmarshal(b, &(*l)[0])
}

// decodeListing reads {"applications": {…}}, as a peer answers it.
func decodeListing(body []byte) ([]posted, error) {
	var listing struct {
		Applications *struct {
			Application oneOrMore[struct {
				Instance oneOrMore[posted] `json:"instance"`
			}] `json:"application"`
		} `json:"applications"`
	}
	if err := json.Unmarshal(body, &listing); err != nil {
		return nil, refuse("cannot parse listing: %v", err)
	}
	if listing.Applications == nil {
		return nil, refuse("cannot parse listing: there are no applications in it")
	}
	var out []posted
	for _, a := range listing.Applications.Application {
		out = append(out, a.Instance...)
	}
	return out, nil
}

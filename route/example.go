package route

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// Example is a request that shows something: a tie, a shadow.
type Example struct {
	Method, Scheme, Host, Path string
	// Query is encoded; "" is none.
	Query string
	// Fields are the header fields.
	Fields []message.Field
	// Upgrade is the protocol asked for, or "".
	Upgrade string
	// Client, Listener and At are set where a route looks at them.
	Client   netip.Addr
	Listener string
	At       time.Time
}

// String writes the request as the arguments of maru explain.
func (e *Example) String() string {
	var b strings.Builder
	b.WriteString(e.Method + " " + e.Scheme + "://" + e.Host + e.Path)
	if e.Query != "" {
		b.WriteString("?" + e.Query)
	}
	for _, f := range e.Fields {
		b.WriteString(" -H '" + strings.ReplaceAll(f.Name+": "+f.Value, "'", `'\''`) + "'")
	}
	if e.Upgrade != "" {
		b.WriteString(" -H 'Upgrade: " + e.Upgrade + "'")
	}
	if e.Client.IsValid() {
		b.WriteString(" --client " + e.Client.String())
	}
	if e.Listener != "" {
		b.WriteString(" --listener " + e.Listener)
	}
	if !e.At.IsZero() {
		b.WriteString(" at " + e.At.Format(time.RFC3339))
	}
	return b.String()
}

// Fill makes r this request. What the example leaves open is set too, but for the
// listener: a client is always there.
func (e *Example) Fill(r *message.Request) {
	r.Reset()
	r.Method, r.Scheme, r.Host, r.Authority = e.Method, e.Scheme, e.Host, e.Host
	r.Path, r.RawPath, r.Query, r.HasQuery = e.Path, e.Path, e.Query, e.Query != ""
	r.Upgrade = e.Upgrade
	for _, f := range e.Fields {
		r.Header.Append(message.Field{Name: f.Name, Value: f.Value, ID: message.NameID(f.Name)})
	}
	r.X.Client, r.X.Listener, r.X.Began = e.Client, e.Listener, e.At
	if !r.X.Client.IsValid() {
		r.X.Client = netip.IPv4Unspecified().Next()
	}
}

// encodeQuery writes one parameter.
func encodeQuery(name, value string) string {
	return url.QueryEscape(name) + "=" + url.QueryEscape(value)
}

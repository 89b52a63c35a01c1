package registry

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of an XML document (specification §5).
const (
	maxDepth    = 8
	maxElements = 4096
)

// element is one element of a document; its name is decoded.
type element struct {
	name, enabled, class string
	text                 strings.Builder
	children             []*element
}

// latin1 reads ISO-8859-1 as UTF-8.
func latin1(charset string, in io.Reader) (io.Reader, error) {
	if !strings.EqualFold(charset, "iso-8859-1") {
		return nil, fmt.Errorf("charset %q is not known", charset)
	}
	data, err := io.ReadAll(in) // of a body that is bounded
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(data)+len(data)/8)
	for _, c := range data {
		out = utf8.AppendRune(out, rune(c))
	}
	return bytes.NewReader(out), nil
}

// parseXML reads a document into elements. No DTD, no entities but XML's own.
func parseXML(body []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = latin1
	top := new(element)
	stack := []*element{top}
	for seen := 0; ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		switch v := token.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("byte %d: a document type is not allowed", d.InputOffset())
		case xml.StartElement:
			if seen++; seen > maxElements || len(stack) > maxDepth {
				return nil, fmt.Errorf("byte %d: more than %d elements or deeper than %d", d.InputOffset(), maxElements, maxDepth)
			}
			e := startOf(v)
			parent := stack[len(stack)-1]
			parent.children = append(parent.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			if len(stack) == 1 || stack[len(stack)-1].name != nameOf(v.Name.Local) {
				return nil, fmt.Errorf("byte %d: </%s> ends nothing", d.InputOffset(), v.Name.Local)
			}
			stack = stack[:len(stack)-1]
		case xml.CharData:
			stack[len(stack)-1].text.Write(v)
		}
	}
	if len(stack) != 1 || len(top.children) != 1 {
		return nil, fmt.Errorf("byte %d: the document is not whole", d.InputOffset())
	}
	return top.children[0], nil
}

func startOf(v xml.StartElement) *element {
	e := &element{name: nameOf(v.Name.Local)}
	for _, a := range v.Attr {
		switch a.Name.Local {
		case "enabled":
			e.enabled = a.Value
		case "class":
			e.class = a.Value
		}
	}
	return e
}

// nameOf undoes XStream's coding of names: "__" is "_", "_-" is "$".
func nameOf(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	return strings.NewReplacer("__", "_", "_-", "$").Replace(name)
}

// value is the element's text without the space around it.
func (e *element) value() text { return text(strings.TrimSpace(e.text.String())) }

// decodeXML reads <instance>…</instance>.
func decodeXML(body []byte) (*posted, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, refuse("cannot parse request body: %v", err)
	}
	if root.name != "instance" {
		return nil, refuse("cannot parse request body: the root is %s, not instance", root.name)
	}
	p := new(posted)
	texts := p.texts()
	for _, c := range root.children {
		if t := texts[strings.ToLower(c.name)]; t != nil {
			*t = c.value()
			continue
		}
		switch c.name {
		case "port":
			p.Port = c.port()
		case "securePort":
			p.SecurePort = c.port()
		case "countryId":
			p.CountryID = parseNumber(string(c.value()))
		case "dataCenterInfo":
			p.DataCenter = c.center()
		case "leaseInfo":
			p.Lease = c.lease()
		case "metadata":
			p.Meta = c.pairs()
		case "lastUpdatedTimestamp":
			p.Updated = parseNumber(string(c.value()))
		case "lastDirtyTimestamp":
			p.Dirty = parseNumber(string(c.value()))
		}
	}
	return p, nil
}

// texts are the fields that hold plain text, by their name in lower case.
func (p *posted) texts() map[string]*text {
	return map[string]*text{
		"instanceid": &p.InstanceID, "hostname": &p.HostName, "app": &p.App, "ipaddr": &p.IPAddr, "sid": &p.SID,
		"appgroupname": &p.Group, "status": &p.Status, "overriddenstatus": &p.Overridden,
		"homepageurl": &p.HomePage, "statuspageurl": &p.StatusPage, "healthcheckurl": &p.HealthCheck,
		"securehealthcheckurl": &p.SecureHealth, "vipaddress": &p.VIP, "securevipaddress": &p.SecureVIP,
		"iscoordinatingdiscoveryserver": &p.Coordinating, "actiontype": &p.Action, "asgname": &p.ASG,
	}
}

func (e *element) port() *postedPort {
	return &postedPort{Number: parseNumber(string(e.value())), Enabled: text(e.enabled)}
}

func (e *element) center() *postedCenter {
	out := &postedCenter{Class: text(e.class)}
	for _, c := range e.children {
		switch c.name {
		case "name":
			out.Name = c.value()
		case "metadata":
			out.Meta = c.pairs()
		}
	}
	return out
}

func (e *element) lease() postedLease {
	var out postedLease
	for _, c := range e.children {
		n := parseNumber(string(c.value()))
		switch c.name {
		case "renewalIntervalInSecs":
			out.Renewal = n
		case "durationInSecs":
			out.Duration = n
		case "registrationTimestamp":
			out.Registered = n
		case "lastRenewalTimestamp":
			out.Renewed = n
		case "serviceUpTimestamp":
			out.ServiceUp = n
		}
	}
	return out
}

func (e *element) pairs() pairs {
	out := make([]Pair, 0, len(e.children))
	for _, c := range e.children {
		out = append(out, Pair{c.name, string(c.value())})
	}
	return sortPairs(out)
}

// xmlWriter appends elements.
type xmlWriter struct{ b []byte }

func (w *xmlWriter) raw(s string) { w.b = append(w.b, s...) }

func (w *xmlWriter) text(name, value string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
	w.b = appendEscaped(w.b, value)
	w.b = append(w.b, '<', '/')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

// some writes an element only when there is a value.
func (w *xmlWriter) some(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *xmlWriter) number(name string, n int64) { w.text(name, strconv.FormatInt(n, 10)) }

func (w *xmlWriter) port(name string, p Port) {
	w.raw("<" + name + ` enabled="` + strconv.FormatBool(p.Enabled) + `">` + strconv.Itoa(p.Number) + "</" + name + ">")
}

func (w *xmlWriter) pairs(list []Pair) {
	if len(list) == 0 {
		w.raw(`<metadata class="` + emptyMapClass + `"/>`)
		return
	}
	w.raw("<metadata>")
	for _, p := range list {
		if isName(p.Key) {
			w.text(codedName(p.Key), p.Value)
		}
	}
	w.raw("</metadata>")
}

// appendXML writes an instance as <instance>…</instance> (specification §5).
func appendXML(b []byte, in *Instance, renewed int64, s style) []byte {
	w := xmlWriter{b}
	w.raw("<instance>")
	w.text("instanceId", in.ID)
	w.text("hostName", in.HostName)
	w.text("app", in.App)
	w.text("ipAddr", in.IPAddr)
	if !s.compact && in.SID != "na" {
		w.some("sid", in.SID)
	}
	w.text("status", in.Status.String())
	if !s.compact {
		w.text("overriddenstatus", in.Overridden.String())
	}
	w.port("port", in.Port)
	w.port("securePort", in.SecurePort)
	if !s.compact {
		w.number("countryId", int64(in.CountryID))
	}
	w.raw(`<dataCenterInfo class="` + in.DataCenter.Class + `">`)
	w.text("name", in.DataCenter.Name)
	if len(in.DataCenter.Meta) > 0 {
		w.pairs(in.DataCenter.Meta)
	}
	w.raw("</dataCenterInfo>")
	if !s.compact {
		w.lease(in, renewed)
		w.pairs(in.Meta)
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
	w.number("lastUpdatedTimestamp", in.Updated)
	if !s.compact {
		w.number("lastDirtyTimestamp", in.Dirty)
	}
	w.text("actionType", in.Action.String())
	w.some("asgName", in.ASG)
	w.raw("</instance>")
	return w.b
}

func (w *xmlWriter) lease(in *Instance, renewed int64) {
	w.raw("<leaseInfo>")
	w.number("renewalIntervalInSecs", int64(in.RenewalSecs))
	w.number("durationInSecs", int64(in.DurationSecs))
	w.number("registrationTimestamp", in.Registered)
	w.number("lastRenewalTimestamp", renewed)
	w.number("evictionTimestamp", 0)
	w.number("serviceUpTimestamp", in.ServiceUp)
	w.raw("</leaseInfo>")
}

// isName tells whether a metadata key can be the name of an element; one that
// can't is left out of XML.
func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r == '$' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0xC0 && r != 0xD7 && r != 0xF7 && r < 0x2000
		if !letter && (i == 0 || r != '-' && r != '.' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

// codedName is XStream's coding of names.
func codedName(s string) string {
	if !strings.ContainsAny(s, "_$") {
		return s
	}
	return strings.NewReplacer("_", "__", "$", "_-").Replace(s)
}

// appendEscaped writes text of an element. What XML 1.0 §2.2 does not allow
// becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '&':
			b = append(b, "&amp;"...)
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			b = utf8.AppendRune(b, utf8.RuneError)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

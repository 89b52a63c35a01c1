package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/filter"
)

// Check loads a file and finds all that can be known without starting it. The
// File can be served when no finding is an error.
func Check(path string) (*File, []diag.Finding) {
	file, findings := Load(path)
	return file, Checker{}.Check(file, findings)
}

// Checker finds the faults that need the whole file. The zero value works.
type Checker struct {
	// Build builds the File and throws it away; its field errors have paths as
	// in the file. Nil means edge.Build.
	Build func(*File) error
	// Now is the clock for certificates; nil means time.Now.
	Now func() time.Time
	// Brief leaves out the proofs that give nothing but warnings (routes that
	// take no request): they take longer than all the rest, and a change should
	// not wait for them.
	Brief bool
}

// Check adds to what Load found: Build without starting, references, order of
// filters, loops, unused services, files that cannot be read. A fault that only
// follows from one that Load found is left out.
func (c Checker) Check(file *File, loaded []diag.Finding) []diag.Finding {
	if slices.ContainsFunc(loaded, func(f diag.Finding) bool {
		return f.Severity == diag.Error && (f.Code == "syntax" || f.Code == "limit" || f.Code == "file")
	}) {
		return loaded // a part of the file is missing: what follows would mislead
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	build := c.Build
	if build == nil {
		build = func(f *File) error {
			rt, err := edge.Build(f.Config, edge.Env{Zone: f.Zone, Decode: DecodeContract}, nil)
			if err == nil {
				err = rt.Warnings()
			}
			return err //nolint:wrapcheck // field errors
		}
	}
	w := &whole{file: file, now: now(), brief: c.Brief}
	answer := make(chan error, 1)
	go func() { answer <- build(file) }() // both only read the file, and a change waits for both
	w.references()
	w.matches()
	w.listeners()
	w.order()
	w.guards()
	w.settings()
	w.registry()
	w.turbine()
	w.files()
	w.contracts()
	w.built(<-answer)
	w.warnings()
	if errs, _ := diag.Count(loaded); errs == 0 && !w.faulty() {
		w.unused() // else a service may only seem so
		w.prove()
	}
	return tidy(append(slices.Clone(loaded), unexplained(w.found, loaded)...))
}

// built adds what a Build found, but not what was found before in other words:
// at the same place or the same path.
func (w *whole) built(err error) {
	mine := w.found
	for _, e := range diag.Flatten(err) {
		if slices.ContainsFunc(w.told, func(path string) bool { return strings.HasPrefix(e.Path, path) }) {
			continue
		}
		for _, f := range w.file.Source.locate(e) {
			if !slices.ContainsFunc(mine, func(g located) bool { return g.Position == f.Position && g.Severity == diag.Error }) {
				w.found = append(w.found, f)
			}
		}
	}
}

func (w *whole) faulty() bool {
	return slices.ContainsFunc(w.found, func(f located) bool { return f.Severity == diag.Error })
}

// unexplained leaves out findings about a value inside which Load already found
// an error: they mostly follow from it.
func unexplained(found []located, loaded []diag.Finding) []diag.Finding {
	var errs []diag.Position
	for _, f := range loaded {
		if f.Severity == diag.Error {
			errs = append(errs, f.Position)
		}
	}
	var out []diag.Finding
	for _, f := range found {
		if !slices.ContainsFunc(errs, func(at diag.Position) bool { return contains(f.node, at) }) {
			out = append(out, f.Finding)
		}
	}
	return out
}

// contains tells whether a position is that of n or of a value inside it, also
// one that an alias stands for.
func contains(n *yaml.Node, at diag.Position) bool {
	seen := make(map[*yaml.Node]bool)
	var visit func(n *yaml.Node) bool
	visit = func(n *yaml.Node) bool {
		if n == nil || seen[n] {
			return false
		}
		seen[n] = true
		return n.Line == at.Line && n.Column == at.Column || visit(n.Alias) || slices.ContainsFunc(n.Content, visit)
	}
	return visit(n)
}

// whole is a check of a whole file.
type whole struct {
	brief bool
	file  *File
	now   time.Time
	found []located
	// told are paths whose fault was told: a Build says so again.
	told []string
}

func (w *whole) add(err *diag.FieldError) {
	w.found = append(w.found, w.file.Source.locate(err)...)
}

// addAtKey adds a finding about a key rather than about its value.
func (w *whole) addAtKey(err *diag.FieldError) {
	from := len(w.found)
	w.add(err)
	if key := w.file.Source.key(err.Path); key != nil && len(w.found) > from {
		w.found[from].Position, w.found[from].Length = w.file.Source.at(key), w.file.Source.length(key)
	}
}

func (w *whole) services() []string { return slices.Sorted(maps.Keys(w.file.Services)) }

func (w *whole) references() {
	names := w.services()
	if len(names) == 0 && w.file.Source.has("services") {
		for i := range w.file.Routes { // the services could not be read
			w.told = append(w.told, diag.Index("routes", i)+".to")
		}
		return
	}
	for i := range w.file.Routes {
		to := w.file.Routes[i].To
		if _, ok := w.file.Services[to]; to == "" || ok {
			continue
		}
		e := diag.At(diag.Index("routes", i)+".to", "there is no service %q", to).WithCode("reference")
		if len(names) == 0 {
			e.WithFix("write it: services: {%s: http://127.0.0.1:9000}", to)
		} else {
			e.WithFix("%s", meant(to, names))
		}
		w.add(e)
	}
}

// matches finds routes without a match, because one that takes everything should
// be meant, and those for listeners that there are not.
func (w *whole) matches() {
	for i := range w.file.Routes {
		path := diag.Index("routes", i)
		if w.file.Routes[i].Match.Path == "" && w.file.Source.has(path) && !w.file.Source.has(path+".match") {
			w.add(diag.At(path, "the route has no match").WithFix("add match: PATH, or match: /{rest...} for every request"))
		}
		for j, name := range w.file.Routes[i].Match.Listener {
			if _, ok := w.file.Listen[name]; !ok {
				w.add(diag.At(diag.Index(path+".match.listener", j), "there is no listener %q", name).WithCode("reference").
					WithFix("%s", meant(name, slices.Collect(maps.Keys(w.file.Listen)))))
			}
		}
	}
}

// bound is one address that maru listens on.
type bound struct {
	path string
	what string
	host netip.Addr // invalid: all addresses
	port string
}

func (w *whole) bounds() []bound {
	var out []bound
	for _, name := range slices.Sorted(maps.Keys(w.file.Listen)) {
		l := w.file.Listen[name]
		if b, ok := boundOf(l.Address, name == "public"); ok {
			b.path, b.what = "listen."+name+".address", "listener "+name
			out = append(out, b)
		}
	}
	if b, ok := boundOf(w.file.Admin.Address, false); ok {
		b.path, b.what = "admin.address", "the admin API"
		out = append(out, b)
	}
	if w.file.Registry != nil {
		if b, ok := boundOf(w.file.Registry.Address, false); ok {
			b.path, b.what = "registry.address", "the registry"
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b bound) int {
		x, y := w.file.Source.Position(a.path), w.file.Source.Position(b.path)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	return out
}

func boundOf(address string, public bool) (bound, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" || port == "0" {
		return bound{}, false
	}
	b := bound{port: port}
	switch {
	case host == "" && public:
	case host == "", host == "localhost":
		b.host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		a, err := netip.ParseAddr(host)
		if err != nil {
			return bound{}, false
		}
		if !a.IsUnspecified() {
			b.host = a.Unmap()
		}
	}
	return b, true
}

func (b bound) String() string {
	if !b.host.IsValid() {
		return "port " + b.port + " of all addresses"
	}
	return net.JoinHostPort(b.host.String(), b.port)
}

// listeners finds addresses that cannot be bound together, also when one of
// them is the wildcard.
func (w *whole) listeners() {
	all := w.bounds()
	for i, b := range all {
		for _, a := range all[:i] {
			if a.port != b.port || a.host.IsValid() && b.host.IsValid() && a.host != b.host {
				continue
			}
			w.add(diag.At(b.path, "%s already takes %s", a.what, a).WithCode("clash").
				WithRelated(a.path).WithFix("give one of them another port"))
			w.told = append(w.told, a.path, b.path)
			break
		}
	}
}

// settings checks what is config's own.
func (w *whole) settings() {
	f := w.file
	levels := []string{"debug", "info", "warn", "error"}
	if !slices.Contains(levels, f.Log.Level) {
		w.add(diag.At("log.level", "%q is not a level", f.Log.Level).WithFix("%s", meant(f.Log.Level, levels)))
	}
	if f.Admin.Address == "off" {
		return
	}
	host, port, err := net.SplitHostPort(f.Admin.Address)
	if err != nil || port == "" {
		w.add(diag.At("admin.address", "%q is not host:port", f.Admin.Address).WithFix("write for example %q, or off", defaultAdmin))
		return
	}
	a, err := netip.ParseAddr(host)
	switch {
	case host == "" || host == "localhost":
	case err != nil:
		w.add(diag.At("admin.address", "%q is not an address of this machine", host).WithFix("write an IP address"))
	case !a.IsLoopback() && f.Admin.TokenFile == "":
		w.add(diag.At("admin.address", "%s is not loopback: anyone who reaches it could drain this gateway", host).
			WithFix("add token-file: FILE, or write %q", defaultAdmin))
	}
}

// registry checks the registry's section, and that there is one for the services
// that find their endpoints in it.
func (w *whole) registry() {
	if w.file.Registry != nil {
		for _, e := range diag.Flatten(diag.Under("registry", w.file.Registry.Check())) {
			w.add(e)
		}
		return
	}
	for _, name := range w.services() {
		if r := w.file.Services[name].Registry; r != nil && r.URL == "" {
			w.add(diag.At("services."+name+".registry", "this process has no registry").WithCode("reference").
				WithFix("add registry: {} to the file, or say where it is: registry: {name: %s, url: http://127.0.0.1:8761/eureka}", cmp.Or(r.Name, name)))
		}
	}
}

// turbine checks whose streams are added up.
func (w *whole) turbine() {
	for _, e := range diag.Flatten(diag.Under("turbine", w.file.Turbine.Check())) {
		w.add(e)
	}
}

// files finds files that the configuration names and that cannot be read.
func (w *whole) files() {
	f := w.file
	w.readable("admin.token-file", f.Admin.TokenFile)
	if secret, ok := w.readable("secret-file", f.SecretFile); ok && len(strings.TrimSpace(string(secret))) < 32 {
		w.add(diag.At("secret-file", "the secret has fewer than 32 bytes").WithFix("make one: head -c 32 /dev/urandom | base64 > %s", f.SecretFile))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Listen)) {
		t := f.Listen[name].TLS
		if t == nil {
			continue
		}
		path := "listen." + name + ".tls"
		for i, c := range t.Certificates {
			w.certificate(fmt.Sprintf("%s.certificates[%d]", path, i), c.Cert, c.Key)
		}
		for i, ca := range t.ClientCA {
			w.authorities(fmt.Sprintf("%s.client-ca[%d]", path, i), ca)
		}
		if t.ACME != nil {
			w.authorities(path+".acme.ca", t.ACME.CA)
		}
	}
	for _, name := range w.services() {
		if t := f.Services[name].TLS; t != nil {
			w.authorities("services."+name+".tls.ca", t.CA)
			w.certificate("services."+name+".tls", t.Cert, t.Key)
		}
	}
}

// readable gives the content of a file that the configuration names; "" is none.
func (w *whole) readable(path, name string) ([]byte, bool) {
	if name == "" {
		return nil, false
	}
	text, err := os.ReadFile(name) //nolint:gosec // the operator names the file
	if err != nil {
		w.add(diag.At(path, "cannot read %s: %s", name, reason(err)).WithCode("file").
			WithFix("name a readable file; a relative path starts at the folder maru runs in"))
		w.told = append(w.told, path)
		return nil, false
	}
	return text, true
}

func (w *whole) authorities(path, name string) {
	if text, ok := w.readable(path, name); ok && !x509.NewCertPool().AppendCertsFromPEM(text) {
		w.notPEM(path, name)
	}
}

func (w *whole) notPEM(path, name string) {
	w.add(diag.At(path, "%s holds no certificate in PEM form", name).WithCode("file").
		WithFix("name a file with -----BEGIN CERTIFICATE-----; convert DER with openssl x509 -inform der"))
	w.told = append(w.told, path)
}

func (w *whole) certificate(path, cert, key string) {
	if cert == "" || key == "" {
		return // said by the owner of the field
	}
	certText, certOK := w.readable(path+".cert", cert)
	keyText, keyOK := w.readable(path+".key", key)
	if !certOK || !keyOK {
		w.told = append(w.told, path)
		return
	}
	if block, _ := pem.Decode(certText); block == nil {
		w.notPEM(path+".cert", cert)
		w.told = append(w.told, path)
		return
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		w.add(diag.At(path+".key", "%s does not belong to %s: %s", key, cert, strings.TrimPrefix(err.Error(), "tls: ")).
			WithCode("file").WithRelated(path + ".cert").WithFix("name the key that the certificate was made with"))
		w.told = append(w.told, path)
		return
	}
	if pair.Leaf != nil && w.now.After(pair.Leaf.NotAfter) {
		w.add(diag.At(path+".cert", "the certificate ran out on %s", pair.Leaf.NotAfter.UTC().Format(time.DateOnly)).
			WithCode("expired").AsWarning().WithFix("renew it; the file is watched"))
	}
}

// unused warns of services that no route and no filter names.
func (w *whole) unused() {
	if len(w.file.Services) == 0 {
		return
	}
	used := make(map[string]bool)
	for i := range w.file.Routes {
		used[w.file.Routes[i].To] = true
	}
	for _, name := range w.file.ViewServices() {
		used[name] = true
	}
	for _, name := range w.file.Turbine.AppConfig { // its endpoints are followed
		used[name] = true
	}
	w.file.Source.words(used)
	for _, name := range w.services() {
		if !used[name] {
			w.addAtKey(diag.At("services."+name, "no route and no filter uses the service %q", name).WithCode("unused").AsWarning().
				WithFix("remove it, or write a route with to: %s", name))
		}
	}
}

// words collects every key and value below the filter lists: which of them
// name services only the filters know, and one too many hides only a warning.
func (s *Source) words(used map[string]bool) {
	if s.root == nil {
		return
	}
	visited := make(map[*yaml.Node]bool)
	var visit func(n *yaml.Node, inside bool)
	visit = func(n *yaml.Node, inside bool) {
		if n.Kind == yaml.AliasNode {
			if visited[n.Alias] {
				return
			}
			visited[n.Alias] = true
			n = n.Alias
		}
		if inside && n.Kind == yaml.ScalarNode {
			for word := range strings.FieldsSeq(n.Value) { // "canary 10" too
				used[word] = true
			}
		}
		for i, c := range n.Content {
			visit(c, inside || n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "filters")
		}
	}
	visit(s.root, false)
}

// warnings are those that the owners of the fields know.
func (w *whole) warnings() {
	for _, name := range w.services() {
		err := w.file.Services[name].Check()
		for _, e := range diag.Flatten(diag.Under("services."+name, err)) {
			if e.Warn {
				w.add(e)
			}
		}
	}
}

// broken stands for a filter that could not be read, so that the others keep
// their places.
type broken struct{}

// Filter makes nothing; Load has told why.
func (broken) Filter(filter.Env) (filter.Filter, error) { return nil, nil } //nolint:nilnil // nothing to add

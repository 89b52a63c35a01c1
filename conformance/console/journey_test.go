package console

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// estate is what the journey's maru.yaml holds below its head.
func (h *house) estate() string {
	return fmt.Sprintf(`registry: { address: %q }
services:
  alpha:
    urls: [%q, %q, %q]
  beta: { url: %q }
  gamma: { registry: gamma }
routes:
  - { name: alpha, match: "GET /alpha/{rest...}", to: alpha }
  - name: beta
    match: /beta/{rest...}
    filters: [request-id]
    to: beta
  - { name: gamma, match: "/gamma/{rest...}", to: gamma }
  - { name: hello, match: GET /hello, filters: [respond: { body: hello }] }
views:
  GET /both/{id}:
    merge: [ "alpha GET /a/{id} -> a", "beta GET /b/{a.id:1} -> b" ]
    parts: { b: 'default {"id":0}' }
  GET /one: { merge: [ "alpha GET /a/1 -> a" ] }
`, h.registry, h.services[0].URL, h.services[1].URL, h.services[2].URL, h.services[2].URL)
}

// TestJourney goes through every page and every action.
func TestJourney(t *testing.T) {
	b := open(t)
	h := newHouse(t)
	h.write(t, "", h.estate())
	h.start(t)
	h.register(t, "gamma", "gamma-1", h.services[0])
	h.register(t, "gamma", "gamma-2", h.services[1])
	j := &journey{b: b, h: h, url: "http://" + h.admin + "/console/"}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"counts agree with the access log", j.counts},
		{"overview", j.overview},
		{"circle board", j.board},
		{"endpoints", j.endpoints},
		{"keyboard alone", j.keyboard},
		{"breaker", j.breaker},
		{"routes", j.routes},
		{"views", j.views},
		{"registry", j.registry},
		{"configuration", j.configuration},
		{"pages that are not there", j.missing},
		{"too many who look", j.crowd},
		{"languages", j.languages},
		{"dark and light, wide and narrow", j.looks},
		{"a gateway that says nothing", j.silence},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t); b.quiet(t) }) {
			return // the rest builds on it
		}
	}
}

// journey is one browser at one maru.
type journey struct {
	b   *browser
	h   *house
	url string
}

// counts: after requests of which some fail, the page shows as many as the access
// log has, in all and for each service, and at most two seconds later.
func (j *journey) counts(t *testing.T) {
	j.b.do(t, chromedp.Navigate("http://"+j.h.admin+"/")) // a browser is sent on
	j.b.at(t, "Overview")
	j.b.until(t, `document.querySelector('.link.live')`)
	j.h.broken.Store(true)
	failed := j.h.load(t, "/alpha/1", 120) + j.h.load(t, "/beta/broken", 30) + j.h.load(t, "/beta/1", 50) + j.h.load(t, "/hello", 10)
	j.h.broken.Store(false)
	done := time.Now()
	if failed < 30 { // more when the breaker opened on them
		t.Fatalf("%d requests failed, want 30 at least", failed)
	}
	want := make(map[string]int) // by service
	within(t, patience, "all requests are in the access log", func() bool {
		clear(want)
		for _, x := range j.h.exchanges(t) {
			want[x.Service]++
			want["all"]++
			if x.Status >= http.StatusInternalServerError {
				want["failed"]++
			}
		}
		return want["all"] == 210
	})
	if want["failed"] != failed {
		t.Errorf("%d requests failed, the access log has %d", failed, want["failed"])
	}
	j.b.until(t, fmt.Sprintf(`document.querySelector('.now').innerText.includes('%d requests in 10 s')`, want["all"]))
	j.b.until(t, fmt.Sprintf(`document.querySelector('.now').innerText.includes('%d failed in 10 s')`, want["failed"]))
	t.Logf("shown %v after the last answer", time.Since(done).Round(time.Millisecond))
	for _, name := range []string{"alpha", "beta"} {
		j.b.click(t, link(name))
		j.b.at(t, name)
		j.b.until(t, fmt.Sprintf(`document.querySelector('.now').innerText.includes('%d requests in 10 s')`, want[name]))
		j.b.click(t, link("All services"))
		j.b.at(t, "Services")
		j.b.click(t, link("Overview"))
		j.b.at(t, "Overview")
	}
}

func (j *journey) overview(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.until(t, `document.querySelectorAll('.chart svg[role=img]').length === 3`)
	if label := eval[string](t, j.b, `document.querySelector('.chart svg').getAttribute('aria-label')`); !strings.HasPrefix(label, "Requests a second, the last two minutes: now ") {
		t.Errorf("the chart is called %q", label)
	}
	j.b.click(t, `//summary[contains(., "The last two minutes as a table")]`)
	j.b.until(t, `document.querySelectorAll('.as-table tbody tr').length >= 1`)
	if got := eval[int](t, j.b, `document.querySelectorAll('.glance a').length`); got != 3 {
		t.Errorf("%d services at a glance, want 3", got)
	}
	j.b.audit(t, "overview")
}

func (j *journey) board(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.click(t, link("Services"))
	j.b.at(t, "Services")
	j.b.until(t, `document.querySelectorAll('.tile').length === 3`)
	j.b.until(t, `document.activeElement === document.querySelector('h1')`) // after a change of page
	j.b.audit(t, "circle board")
	// "/" puts the focus into the filter, Escape empties it.
	j.b.press(t, "/")
	j.b.until(t, `document.activeElement?.matches('.filter-box input')`)
	j.b.do(t, chromedp.KeyEvent("be"))
	j.b.until(t, `[...document.querySelectorAll('.tile')].map((e) => e.dataset.service).join() === 'beta'`)
	j.b.until(t, `location.search === '?q=be'`)
	j.b.do(t, chromedp.KeyEvent(kb.Escape))
	j.b.until(t, `document.querySelectorAll('.tile').length === 3`)
	j.b.choose(t, ".tools select", "name")
	j.b.until(t, `[...document.querySelectorAll('.tile')].map((e) => e.dataset.service).join() === 'alpha,beta,gamma'`)
	j.b.click(t, `//label[normalize-space()="table"]`)
	j.b.until(t, `[...document.querySelectorAll('tbody th a')].map((e) => e.textContent).join() === 'alpha,beta,gamma'`)
	j.b.audit(t, "table of services")
	// The address has it all: the same after a reload.
	j.b.do(t, chromedp.Reload())
	j.b.until(t, `document.querySelectorAll('tbody tr').length === 3`)
	j.b.click(t, `//tbody//a[text()="alpha"]`)
	j.b.at(t, "alpha")
	j.b.do(t, chromedp.NavigateBack())
	j.b.at(t, "Services")
}

// endpoint is what the API says of one.
type endpoint struct {
	Name   string  `json:"name"`
	State  string  `json:"state"`
	Weight float64 `json:"weight"`
}

// endpointOf finds an endpoint of alpha.
func (j *journey) endpointOf(t *testing.T, name string) endpoint {
	t.Helper()
	for _, e := range get[struct {
		Endpoints []endpoint `json:"endpoints"`
	}](t, j.h, "/v1/services/alpha").Endpoints {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("alpha has no endpoint %s", name)
	return endpoint{}
}

// first is the name of alpha's first endpoint.
func (j *journey) first() string { return strings.TrimPrefix(j.h.services[0].URL, "http://") }

// state waits for the state of an endpoint in the table, and in the API.
func (j *journey) state(t *testing.T, name, shown string, up bool) {
	t.Helper()
	j.b.until(t, fmt.Sprintf(`[...document.querySelectorAll('.endpoints tbody tr')].some((r) => r.innerText.includes(%s) && r.querySelector('.tag').textContent === %s)`,
		quoted(name), quoted(shown)))
	if got := j.endpointOf(t, name).State; (got == "up") != up {
		t.Errorf("%s is %s", name, got)
	}
}

// logged waits for the line of an action in the program's log.
func (j *journey) logged(t *testing.T, words ...string) {
	t.Helper()
	within(t, patience, fmt.Sprintf("the log tells of %q", words), func() bool {
		for line := range strings.Lines(j.h.log.String()) {
			all := strings.Contains(line, `msg="operator action"`) && strings.Contains(line, "by=api")
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				return true
			}
		}
		return false
	})
}

func (j *journey) endpoints(t *testing.T) {
	j.b.goTo(t, j.url+"services/alpha", "alpha")
	j.b.until(t, `document.querySelectorAll('.endpoints tbody tr').length === 3`)
	j.b.audit(t, "service")
	name := j.first()
	j.state(t, name, "in", true)

	j.b.act(t, "Drain… "+name, "Drain "+name+"?", "Drain", name+" drains.")
	j.state(t, name, "out: draining", false)
	j.logged(t, "action=drain", "service=alpha", "endpoint="+name)

	j.b.act(t, "Return… "+name, "Return "+name+" to service?", "Return", name+" is back.")
	j.state(t, name, "in", true)

	j.b.click(t, button("Eject… "+name))
	j.b.asked(t, "Eject "+name+"?")
	j.b.choose(t, "dialog[open] select", "2m")
	j.b.confirm(t, "Eject", name+" is ejected.")
	j.state(t, name, "out: ejected", false)
	j.b.until(t, `document.querySelector('.endpoints').innerText.includes('until ')`)
	j.logged(t, "action=eject", "service=alpha", "endpoint="+name)
	j.b.act(t, "Return… "+name, "Return "+name+" to service?", "Return", name+" is back.")
	j.state(t, name, "in", true)

	j.b.click(t, button("Weight… "+name))
	j.b.asked(t, "Shift the weight of "+name+"?")
	j.b.fill(t, "dialog[open] input", "5")
	j.b.confirm(t, "Weight", name+" has the weight 5.")
	if got := j.endpointOf(t, name).Weight; got != 5 {
		t.Errorf("the weight is %v", got)
	}
	j.logged(t, "action=weight", "service=alpha", "endpoint="+name)
}

// keyboard drains and returns an endpoint without a pointer, from the top of the
// page on.
func (j *journey) keyboard(t *testing.T) {
	j.b.goTo(t, j.url+"services/alpha", "alpha")
	j.b.until(t, `document.querySelectorAll('.endpoints tbody tr').length === 3`)
	name := j.first()
	press := func(button string) {
		t.Helper()
		for range 60 {
			j.b.do(t, chromedp.KeyEvent(kb.Tab))
			at := eval[string](t, j.b, `document.activeElement?.ariaLabel ?? document.activeElement?.textContent ?? ''`)
			if !eval[bool](t, j.b, `(() => { const e = document.activeElement; return e === document.body || getComputedStyle(e).outlineStyle !== 'none' || !!e.closest('.choice') })()`) {
				t.Errorf("the focus can't be seen on %q", at)
			}
			if at == button {
				j.b.do(t, chromedp.KeyEvent(kb.Enter))
				return
			}
		}
		t.Fatalf("Tab does not reach %q", button)
	}
	press("Drain… " + name)
	j.b.asked(t, "Drain "+name+"?")
	press("Drain") // the dialog keeps the focus inside
	j.b.told(t, name+" drains.")
	j.state(t, name, "out: draining", false)
	press("Return… " + name)
	j.b.asked(t, "Return "+name+" to service?")
	press("Return")
	j.b.told(t, name+" is back.")
	j.state(t, name, "in", true)
}

func (j *journey) breaker(t *testing.T) {
	j.b.goTo(t, j.url+"services/alpha", "alpha")
	mode := func() string {
		t.Helper()
		for _, s := range get[struct {
			Services []struct {
				Name    string `json:"name"`
				Breaker struct {
					Mode string `json:"mode"`
				} `json:"breaker"`
			} `json:"services"`
		}](t, j.h, "/v1/board").Services {
			if s.Name == "alpha" {
				return s.Breaker.Mode
			}
		}
		return ""
	}
	for _, step := range []struct{ name, title, verb, told, mode string }{
		{"Open…", "Hold the breaker of alpha open?", "Open", "held open", "forced-open"},
		{"Close…", "Hold the breaker of alpha closed?", "Close", "held closed", "forced-closed"},
		{"Observe…", "Let the breaker of alpha only observe?", "Observe", "observe only", "observe"},
		{"Auto…", "Let the breaker of alpha decide by itself?", "Auto", "auto", "auto"},
	} {
		j.b.act(t, step.name, step.title, step.verb, "The breaker of alpha is now: "+step.told+".")
		within(t, patience, "the board says "+step.mode, func() bool { return mode() == step.mode })
		j.b.until(t, fmt.Sprintf(`[...document.querySelectorAll('button[aria-pressed=true]')].map((e) => e.textContent).join() === %s`, quoted(step.name)))
		failed := j.h.load(t, "/alpha/1", 5)
		if want := map[bool]int{true: 5}[step.mode == "forced-open"]; failed != want {
			t.Errorf("%s: %d of 5 requests failed, want %d", step.mode, failed, want)
		}
		j.logged(t, "service=alpha", step.mode)
	}
}

func (j *journey) routes(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.click(t, link("Routes"))
	j.b.at(t, "Routes")
	j.b.until(t, `document.querySelectorAll('tbody tr').length === 6`)
	if row := eval[string](t, j.b, `[...document.querySelectorAll('tbody tr')].find((r) => r.innerText.startsWith('beta')).innerText`); !strings.Contains(row, "request-id") || !strings.Contains(row, "maru.yaml:") {
		t.Errorf("the route is shown as %q", row)
	}
	j.b.audit(t, "routes")
	j.b.fill(t, ".explain input", "/beta/7")
	j.b.fill(t, ".explain textarea", "Accept: */*")
	j.b.click(t, button("Explain"))
	j.b.until(t, `document.querySelector('.answer')?.innerText.includes('rest = 7')`)
	for _, want := range []string{"found", "beta", "/beta/7", "request-id", "endpoints: 1"} {
		if got := eval[string](t, j.b, `document.querySelector('.answer').innerText`); !strings.Contains(got, want) {
			t.Errorf("the explanation lacks %q: %s", want, got)
		}
	}
	j.b.choose(t, ".explain select", "POST")
	j.b.fill(t, ".explain input", "/alpha/7")
	j.b.click(t, button("Explain"))
	j.b.until(t, `document.querySelector('.answer')?.innerText.includes('the method is not allowed')`)
	j.b.audit(t, "explanation")
	j.b.fill(t, ".filter-box input", "gamma")
	j.b.until(t, `document.querySelectorAll('tbody tr').length === 1`)
}

// instance is what the API says of gamma-1.
func (j *journey) instance(t *testing.T) (v struct {
	Status   string `json:"status"`
	Override string `json:"override"`
},
) {
	t.Helper()
	return get[struct {
		Status   string `json:"status"`
		Override string `json:"override"`
	}](t, j.h, "/v1/registry/apps/gamma/gamma-1")
}

// views: the plan is drawn, with the same calls as a table, and has latencies once it
// was asked for.
func (j *journey) views(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.click(t, link("Views"))
	j.b.at(t, "Views")
	j.b.until(t, `document.querySelectorAll('.view-list a').length === 2`)
	j.b.until(t, `document.querySelectorAll('svg.plan .call').length === 2 && document.querySelectorAll('svg.plan .edge.critical').length === 1`)
	if label := eval[string](t, j.b, `document.querySelector('svg.plan').getAttribute('aria-label')`); label != "The plan of GET /both/{id}: 2 calls; the longest way is 1, 2. The table below has them all." {
		t.Errorf("the drawing is called %q", label)
	}
	j.h.load(t, "/both/1", 5)
	j.b.until(t, `[...document.querySelectorAll('table.calls tbody tr')].some((r) => r.innerText.includes('alpha GET /a/{id}') && r.cells[4].innerText === '5')`)
	j.b.audit(t, "views")
	// By keyboard: the other view.
	j.b.do(t, chromedp.Focus(`.view-list li:nth-child(2) a`), chromedp.KeyEvent(kb.Enter))
	j.b.until(t, `document.querySelectorAll('svg.plan .call').length === 1 && location.search.includes('one')`)
	j.b.audit(t, "another view")
}

func (j *journey) registry(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.click(t, link("Registry"))
	j.b.at(t, "Registry")
	j.b.until(t, `document.querySelectorAll('.instances tbody tr').length === 2`)
	j.b.audit(t, "registry")
	j.b.click(t, button("gamma-1"))
	j.b.until(t, `document.querySelector('.whole')?.innerText.includes('version')`)
	j.b.click(t, button("gamma-1"))
	j.b.until(t, `!document.querySelector('.whole')`)

	j.b.act(t, "Drain… gamma-1", "Drain gamma-1?", "Drain", "gamma-1 is drained.")
	if got := j.instance(t); got.Status != "OUT_OF_SERVICE" {
		t.Errorf("drained, it is %+v", got)
	}
	j.b.until(t, `document.querySelector('.instances').innerText.includes('set to OUT_OF_SERVICE by an operator')`)
	j.logged(t, "action=drain", "instance=gamma-1")

	j.b.act(t, "Remove override… gamma-1", "Remove the override of gamma-1?", "Remove override", "The override of gamma-1 is removed.")
	if got := j.instance(t); got.Override != "" {
		t.Errorf("without the override it is %+v", got)
	}

	j.b.click(t, button("Status… gamma-1"))
	j.b.asked(t, "Override the status of gamma-1?")
	j.b.choose(t, "dialog[open] select", "DOWN")
	j.b.confirm(t, "Status", "gamma-1 is set to DOWN.")
	if got := j.instance(t); got.Status != "DOWN" {
		t.Errorf("set to DOWN, it is %+v", got)
	}
	j.b.until(t, `document.querySelector('.apps').innerText.includes('1 of 2 up')`)
}

// configuration: loading again, a file that is refused, and one that is right.
func (j *journey) configuration(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.act(t, "Load again…", "Load the configuration again?", "Load", "is live.")
	j.b.until(t, `document.querySelector('.strip').innerText.includes('by api')`)

	j.h.write(t, "", j.h.estate()+"  - { name: typo, match: GET /x, too: alpha }\n")
	j.b.until(t, `document.querySelector('.banner')?.innerText.includes('was refused')`)
	j.b.until(t, `/maru\.yaml:\d+:\d+/.test(document.querySelector('.banner').innerText)`)
	j.b.audit(t, "refused configuration")
	// The same by hand: the dialog stays and says why.
	j.b.click(t, button("Load again…"))
	j.b.asked(t, "Load the configuration again?")
	j.b.click(t, `//dialog[@open]`+button("Load"))
	j.b.until(t, `document.querySelector('dialog[open] [role=alert]').innerText.includes('the running configuration stays')`)
	j.b.audit(t, "refused action")
	j.b.click(t, `//dialog[@open]`+button("Close"))
	j.b.quiet(t, "409 (Conflict)")

	j.h.write(t, "", j.h.estate())
	j.b.until(t, `!document.querySelector('.banner')`)
}

// missing: addresses that lead nowhere say so.
func (j *journey) missing(t *testing.T) {
	j.b.goTo(t, j.url+"attic", "There is no such page")
	j.b.goTo(t, j.url+"services/%3Cb%3Ex%3C%2Fb%3E", "<b>x</b>") // a name is text
	j.b.until(t, `document.querySelector('main').innerText.includes('There is no service “<b>x</b>”.')`)
	j.b.audit(t, "missing service")
	j.b.goTo(t, j.url+"routes?q=%3Cimg%3E", "Routes")
	j.b.until(t, `document.querySelector('main').innerText.includes('No route has “<img>” in it.')`)
}

// crowd: where the streams are all taken the page says why it shows nothing, and
// shows it once one is free.
func (j *journey) crowd(t *testing.T) {
	j.b.do(t, chromedp.Navigate("about:blank"))
	var others []io.Closer
	within(t, patience, "the streams are all taken", func() bool {
		res, err := http.Get("http://" + j.h.admin + "/v1/board/stream")
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, res.Body)
		return res.StatusCode == http.StatusServiceUnavailable
	})
	j.b.goTo(t, j.url, "Overview")
	j.b.until(t, `document.querySelector('main').innerText.includes('This can’t be shown: ')`)
	for _, o := range others {
		_ = o.Close()
	}
	j.b.until(t, `document.querySelector('.link.live') && document.querySelector('.now')`)
	j.b.quiet(t, "503 (Service Unavailable)")
}

func (j *journey) languages(t *testing.T) {
	j.b.goTo(t, j.url+"services", "Services")
	j.b.choose(t, ".top-tools select", "ko")
	j.b.at(t, "서비스")
	if got := eval[string](t, j.b, `document.documentElement.lang`); got != "ko" {
		t.Errorf("the page says it is %q", got)
	}
	j.b.do(t, chromedp.Reload())
	j.b.at(t, "서비스") // it is kept
	for _, page := range []string{"", "services/alpha", "routes", "views", "registry"} {
		j.b.do(t, chromedp.Navigate(j.url+page))
		j.b.until(t, `document.querySelector('h1')`)
		j.b.audit(t, "ko "+page)
	}
	j.b.choose(t, ".top-tools select", "en")
	j.b.at(t, "Registry")
}

// looks: both schemes, by the system and by choice, and every page on a phone.
func (j *journey) looks(t *testing.T) {
	const ground = `getComputedStyle(document.body).backgroundColor`
	grounds := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		j.b.scheme(t, scheme)
		for page, heading := range map[string]string{"": "Overview", "services": "Services", "services?view=table": "Services", "services/alpha": "alpha", "routes": "Routes", "views": "Views", "registry": "Registry"} {
			j.b.goTo(t, j.url+page, heading)
			j.b.until(t, `document.querySelector('.strip p')`)
			j.b.audit(t, scheme+" "+page)
		}
		grounds[scheme] = eval[string](t, j.b, ground)
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("dark and light are both %s", grounds["dark"])
	}
	const colours = ".top-tools label:nth-of-type(2) select"
	j.b.choose(t, colours, "light")
	j.b.until(t, ground+" === "+quoted(grounds["light"]))
	j.b.do(t, chromedp.Reload())
	j.b.until(t, `document.querySelector('.strip p') && `+ground+" === "+quoted(grounds["light"]))
	j.b.choose(t, colours, "auto")
	j.b.until(t, ground+" === "+quoted(grounds["dark"]))

	j.b.do(t, chromedp.EmulateViewport(320, 700))
	for page, heading := range map[string]string{"": "Overview", "services": "Services", "services/alpha": "alpha", "routes": "Routes", "views": "Views", "registry": "Registry"} {
		j.b.goTo(t, j.url+page, heading)
		j.b.until(t, `document.querySelector('.strip p')`)
		j.b.audit(t, "320 px wide "+page)
	}
	j.b.do(t, chromedp.EmulateViewport(1280, 900))
	j.b.scheme(t, "light")
}

// silence: when the gateway stops answering the page says since when, and goes on
// by itself when it answers again.
func (j *journey) silence(t *testing.T) {
	j.b.goTo(t, j.url, "Overview")
	j.b.until(t, `document.querySelector('.link.live')`)
	if err := j.h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	j.b.until(t, `/stale since \d\d:\d\d:\d\d/.test(document.querySelector('.link.stale')?.textContent)`)
	if err := j.h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	j.b.until(t, `document.querySelector('.link.live')`)
}

// TestSignIn: with a token the pages ask for it, and only the right one opens them.
func TestSignIn(t *testing.T) {
	b := open(t)
	h := newHouse(t)
	h.token = "hall-of-wood-7"
	file := filepath.Join(h.dir, "token")
	if err := os.WriteFile(file, []byte(h.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.write(t, fmt.Sprintf(", token-file: %q", file), h.estate())
	h.start(t)
	b.do(t, chromedp.Navigate("http://"+h.admin+"/console/services"))
	enter := func(token string) {
		t.Helper()
		b.until(t, `document.activeElement?.matches('dialog[open] input[type=password]')`)
		b.do(t, chromedp.KeyEvent(token), chromedp.KeyEvent(kb.Enter))
	}
	b.until(t, `document.querySelector('dialog[open] h2')?.textContent === 'Sign in'`)
	if got := eval[int](t, b, `document.querySelectorAll('.tile').length`); got != 0 {
		t.Errorf("%d services are shown before the sign-in", got)
	}
	b.do(t, chromedp.KeyEvent(kb.Escape)) // there is nothing behind it
	enter("hall-of-wood-8")
	b.until(t, `document.querySelector('dialog[open] [role=alert]')?.textContent.includes('not the token')`)
	enter(h.token)
	b.until(t, `!document.querySelector('dialog[open]') && document.querySelectorAll('.tile').length === 3`)
	b.do(t, chromedp.Reload())
	b.until(t, `document.querySelectorAll('.tile').length === 3`) // the tab keeps it
	if got := eval[string](t, b, `JSON.stringify([localStorage, document.cookie])`); strings.Contains(got, h.token) {
		t.Errorf("the token is kept beyond the tab: %s", got)
	}
	b.click(t, button("Sign out"))
	b.until(t, `document.querySelector('dialog[open] h2')?.textContent === 'Sign in'`)
	b.quiet(t, "401 (Unauthorized)")
}

// TestManyServices: 500 of them are on the board and in the table, live.
func TestManyServices(t *testing.T) {
	const services = 500
	b := open(t)
	h := newHouse(t)
	var text strings.Builder
	text.WriteString("services:\n")
	for i := range services {
		fmt.Fprintf(&text, "  s%03d: { url: %q }\n", i, h.services[i%3].URL)
	}
	text.WriteString("routes:\n")
	for i := range services {
		fmt.Fprintf(&text, "  - { match: \"/s%03d/{rest...}\", to: s%03d }\n", i, i)
	}
	h.write(t, "", text.String())
	h.start(t)
	b.goTo(t, "http://"+h.admin+"/console/services?sort=name", "Services")
	b.until(t, fmt.Sprintf(`document.querySelectorAll('.tile').length === %d`, services))
	// What is far below the window keeps up once it is looked at.
	eval[bool](t, b, `(document.querySelector('[data-service=s499]').scrollIntoView(), true)`)
	for range 3 {
		h.load(t, "/s499/x", 10)
	}
	b.until(t, `document.querySelector('[data-service=s499] [data-value=rps]').textContent === '3'`)
	b.fill(t, ".filter-box input", "s49")
	b.until(t, `document.querySelectorAll('.tile').length === 10`)
	b.goTo(t, "http://"+h.admin+"/console/services?view=table", "Services")
	b.until(t, fmt.Sprintf(`document.querySelectorAll('tbody tr').length === %d`, services))
	b.goTo(t, "http://"+h.admin+"/console/", "Overview")
	b.until(t, fmt.Sprintf(`document.querySelectorAll('.glance a').length === %d`, services))
	b.audit(t, "overview of many")
	b.quiet(t)
}

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long the page may take for anything. The machine may be busy.
const patience = 15 * time.Second

// browser is a Chromium with one page.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// open starts a browser with an empty profile.
func open(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("there is no Chromium here; make test installs it")
	}
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options, chromedp.ExecPath(program), chromedp.UserDataDir(profile(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		// Without a network at its back the browser must not even try.
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en-US"))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &browser{ctx: ctx}
	t.Cleanup(func() {
		end, done := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(end) // waits until the browser is gone
		done()
		cancel()
		stop()
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	b.do(t, chromedp.EmulateViewport(1280, 900))
	return b
}

// profile makes a folder for the browser. Its processes may write for a moment
// after it ended, so removing is tried again.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "maru-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return dir
}

// hear notes what the page complains of.
func (b *browser) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			for _, a := range e.Args {
				text += string(a.Value) + a.Description
			}
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			text = e.Entry.Text + " " + e.Entry.URL
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

// quiet fails when the page complained of anything but what is expected.
func (b *browser) quiet(t *testing.T, expected ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.complaints {
		known := false
		for _, e := range expected {
			known = known || strings.Contains(text, e)
		}
		if !known {
			t.Errorf("the browser complains: %s", text)
		}
	}
	b.complaints = nil
}

// do runs steps, or shows what the page looks like when one fails.
func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%v\nthe page shows:\n%s", err, b.shows())
	}
}

// evaluate gives the value of an expression in the page.
func evaluate[T any](b *browser, expression string) (T, error) {
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// eval is evaluate where an error ends the test.
func eval[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	v, err := evaluate[T](b, expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// shows is the text of the page, for messages.
func (b *browser) shows() string {
	text, err := evaluate[string](b, `document.body.innerText`)
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits for an expression to be true in the page.
func (b *browser) until(t *testing.T, expression string) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		done, err := evaluate[bool](b, "!!("+expression+")")
		if err == nil && done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never true: %s (%v)\nthe page shows:\n%s", expression, err, b.shows())
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// goTo opens an address and waits until the page has its data.
func (b *browser) goTo(t *testing.T, url, heading string) {
	t.Helper()
	b.do(t, chromedp.Navigate(url))
	b.at(t, heading)
}

// at waits for the page with this heading.
func (b *browser) at(t *testing.T, heading string) {
	t.Helper()
	b.until(t, fmt.Sprintf(`document.querySelector('h1')?.textContent === %s`, quoted(heading)))
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(b)
}

// click presses what the XPath finds, where a pointer would.
func (b *browser) click(t *testing.T, path string) {
	t.Helper()
	b.do(t, chromedp.WaitVisible(path))
	// Where a person would scroll it to: not below a bar at the edge.
	eval[bool](t, b, fmt.Sprintf(`(document.evaluate(%s, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null)
		.singleNodeValue?.scrollIntoView({ block: 'center' }), true)`, quoted(path)))
	// The page may still be filling: a pointer can't follow what moves.
	b.until(t, fmt.Sprintf(`((e) => {
		if (!e) return false;
		const r = e.getBoundingClientRect(), at = [%[1]s, r.x, r.y, r.width, document.documentElement.scrollHeight].join();
		const still = window.restsAt === at;
		window.restsAt = at;
		return still;
	})(document.evaluate(%[1]s, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue)`, quoted(path)))
	b.do(t, chromedp.Click(path, chromedp.NodeVisible))
}

// button is the XPath of a button by what it is called.
func button(name string) string {
	return fmt.Sprintf(`//button[@aria-label=%[1]s or not(@aria-label) and normalize-space()=%[1]s]`, quoted(name))
}

// link is the XPath of a link by its text.
func link(name string) string { return fmt.Sprintf(`//a[normalize-space()=%s]`, quoted(name)) }

// press sends one key as a keyboard does: its character comes only if the page lets
// it (chromedp.KeyEvent sends the character in any case).
func (b *browser) press(t *testing.T, key string) {
	t.Helper()
	for _, kind := range []input.DispatchKeyEventType{"keyDown", "keyUp"} {
		event := input.DispatchKeyEventParams{Type: kind, Key: key}
		if kind == "keyDown" {
			event.Text = key
		}
		if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, event); err != nil {
			t.Fatal(err)
		}
	}
}

// fill types into a field in place of what is there.
func (b *browser) fill(t *testing.T, selector, text string) {
	t.Helper()
	b.do(t, chromedp.Focus(chromedp.CSS(selector)))
	eval[bool](t, b, `(document.activeElement.select(), true)`)
	b.do(t, chromedp.KeyEvent(text))
}

// choose takes an option of a list, as its label names it.
func (b *browser) choose(t *testing.T, selector, value string) {
	t.Helper()
	found := eval[bool](t, b, fmt.Sprintf(`(() => {
		const list = document.querySelector(%s);
		if (!list || ![...list.options].some((o) => o.value === %[2]s)) return false;
		list.value = %[2]s;
		list.dispatchEvent(new Event('change', { bubbles: true }));
		return true;
	})()`, quoted(selector), quoted(value)))
	if !found {
		t.Fatalf("%s has no %q", selector, value)
	}
}

// asked waits for the question of an action and checks its manners: the focus is
// on Cancel, and it is modal.
func (b *browser) asked(t *testing.T, title string) {
	t.Helper()
	b.until(t, `document.querySelector('dialog[open] h2')`)
	if got := eval[string](t, b, `document.querySelector('dialog[open] h2').textContent`); got != title {
		t.Errorf("it asks %q, want %q", got, title)
	}
	if !eval[bool](t, b, `document.querySelector('dialog[open]').matches(':modal')`) {
		t.Error("the question is not modal")
	}
	b.until(t, `document.activeElement?.textContent === 'Cancel'`)
}

// act goes through an action: Escape leaves everything as it is and gives the
// focus back, the verb does it, the page tells.
func (b *browser) act(t *testing.T, name, title, verb, told string) {
	t.Helper()
	b.opens(t, button(name))
	b.asked(t, title)
	b.do(t, chromedp.KeyEvent(kb.Escape))
	b.until(t, `!document.querySelector('dialog[open]')`)
	b.until(t, fmt.Sprintf(`(document.activeElement?.ariaLabel ?? document.activeElement?.textContent ?? '') === %s`, quoted(name)))
	b.opens(t, button(name))
	b.asked(t, title)
	b.confirm(t, verb, told)
}

// opens clicks until the question is there, as a person would: a click that falls
// between two pictures of the page is lost.
func (b *browser) opens(t *testing.T, path string) {
	t.Helper()
	for range 3 {
		b.click(t, path)
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
			if open, err := evaluate[bool](b, `!!document.querySelector('dialog[open]')`); err == nil && open {
				return
			}
		}
	}
}

// confirm presses the verb and waits for what the page tells.
func (b *browser) confirm(t *testing.T, verb, told string) {
	t.Helper()
	b.click(t, `//dialog[@open]`+button(verb))
	b.told(t, told)
}

// told waits for a message in the polite live region.
func (b *browser) told(t *testing.T, text string) {
	t.Helper()
	b.until(t, fmt.Sprintf(`document.querySelector('[role=status][aria-live=polite]')?.textContent.includes(%s)`, quoted(text)))
	b.until(t, `!document.querySelector('dialog[open]')`)
}

// scheme makes the system light or dark.
func (b *browser) scheme(t *testing.T, name string) {
	t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// audit looks for what keeps people out: controls without a name, text that is too
// pale, a page wider than its window.
func (b *browser) audit(t *testing.T, page string) {
	t.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Nodes) < 20 {
		t.Errorf("%s: only %d nodes for a screen reader", page, len(tree.Nodes))
	}
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		switch role := strings.Trim(string(n.Role.Value), `"`); role {
		case "button", "link", "textbox", "searchbox", "combobox", "radio", "spinbutton", "navigation", "dialog", "image", "heading":
			if n.Name == nil || strings.Trim(string(n.Name.Value), `" `) == "" {
				t.Errorf("%s: a %s has no name", page, role)
			}
		}
	}
	for _, text := range eval[[]string](t, b, auditScript) {
		t.Errorf("%s: %s", page, text)
	}
}

// auditScript finds repeated ids, missing landmarks, sideways scrolling, and text with
// less contrast than 4.5:1 (WCAG 2.2, 1.4.3), large text than 3:1.
const auditScript = `(() => {
	const found = [];
	const ids = new Set();
	for (const e of document.querySelectorAll('[id]')) {
		if (ids.has(e.id)) found.push('the id ' + e.id + ' is there twice');
		ids.add(e.id);
	}
	for (const landmark of ['main', 'header', 'nav', 'footer', 'h1']) if (!document.querySelector(landmark)) found.push('there is no ' + landmark);
	if (document.querySelectorAll('h1').length > 1) found.push('there are several h1');
	if (document.documentElement.scrollWidth > innerWidth) found.push('the page is wider than its window');
	const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
	const rgba = (css) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = css;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const over = (top, below) => [0, 1, 2].map((i) => (top[i] * top[3] + below[i] * (255 - top[3])) / 255).concat(255);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) {
			const c = rgba(getComputedStyle(e).backgroundColor);
			layers.push(c);
			if (c[3] === 255) break;
		}
		return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 255]);
	};
	const light = ([r, g, b]) => {
		const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
		return 0.2126 * x + 0.7152 * y + 0.0722 * z;
	};
	const seen = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		const text = walk.currentNode.textContent.trim();
		if (!text || seen.has(e) || e.closest('.sr, noscript, option, :disabled') || !e.checkVisibility({ checkVisibilityCSS: true })) continue;
		seen.add(e);
		const style = getComputedStyle(e);
		const back = ground(e);
		const [a, b] = [light(over(rgba(style.color), back)), light(back)];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
		if (ratio < (large ? 3 : 4.5)) found.push('"' + text.slice(0, 40) + '" has a contrast of ' + ratio.toFixed(2));
	}
	return found;
})()`

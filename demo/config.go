package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
)

// Config is the maru.yaml of the gateway in front of a site: the routes as the
// platform's makers had them, /oauth, /location, /restaurant, /auction and
// /reward, and the screens that are composed of them. It uses the addresses of the site's gateway, admin API and registry.
func Config(s Site) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# The gateway of the demo estate. It is watched: a change goes live at once, a
# faulty one is refused. Before that, look with: maru check FILE
listen:
  public: { address: %s }
admin: { address: %s }
log: { level: info, access: %s }

# The services register here, and the gateway finds them here.
registry: { address: %s }
services:
`, hostOf(s.Gateway), hostOf(s.Admin), quoted(s.Access), hostOf(s.Registry))
	for _, name := range Names() {
		fmt.Fprintf(&b, "  %[1]s: { registry: %[1]s }\n", name)
	}
	b.WriteString(routes)
	b.WriteString(screens)
	return b.Bytes()
}

// hostOf is the quoted host:port of a URL.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return quoted(raw)
	}
	return quoted(u.Host)
}

// quoted writes a YAML scalar in double quotes, whose escapes are JSON's.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string can always be written
		return `""`
	}
	return string(b)
}

// Origins that the demo's front ends would have.
const (
	localOrigin   = "http://localhost:3000"
	partnerOrigin = "https://shop.maru.example"
)

const routes = `
filters: # on every route, before its own
  - request-id
  - cors:
      origins: ["` + localOrigin + `", "https://*.maru.example"]
      headers: [authorization, content-type]
      expose: [x-instance, x-request-id]
      credentials: true
  - body: 32KiB

routes:
  - name: welcome
    match: GET /
    filters:
      - respond:
          content-type: application/json
          body: |
            {"welcome": "maru demo",
             "try": ["/restaurant?district=1", "/restaurant/3/menu", "/auction", "/location/districts", "/reward/members/1",
                     "/home/1", "/auctions", "/auctions/1/screen", "/orders/1/screen"]}

  # The services do not know these first segments: strip cuts them.
  - name: oauth
    match: { methods: [GET, POST], path: "/oauth/{rest...}" }
    filters:
      - strip: 1
    to: member
  - name: location
    match: { methods: [GET, POST], path: "/location/{rest...}" }
    filters:
      - strip: 1
    to: location
  - name: reward
    match: { methods: [GET, POST], path: "/reward/{rest...}" }
    filters:
      - strip: 1
    to: reward

  # These two have another name inside: /restaurant/3/menu is /restaurants/3/menu there.
  - name: restaurant
    match: GET /restaurant/{rest...}
    filters:
      - rewrite: { pattern: "/restaurant(/.*)?", target: "/restaurants$1" }
    to: restaurant
  - name: auction
    match: { methods: [GET, POST], path: "/auction/{rest...}" }
    filters:
      - rewrite: { pattern: "/auction(/.*)?", target: "/auctions$1" }
    timeout: 5s
    to: auction

  # The more specific path wins, wherever it stands in the file.
  - name: restaurant-health
    match: GET /restaurant/health
    filters:
      - strip: 1
    to: restaurant
  - name: auction-health
    match: GET /auction/health
    filters:
      - strip: 1
    to: auction
`

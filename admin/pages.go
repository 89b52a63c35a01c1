package admin

import (
	"net/http"
	"strings"
)

// pagesAt is where the console is mounted.
const pagesAt = "/console/"

// start sends a browser to the console; everyone else gets the list of calls.
func (a *API) start(w http.ResponseWriter, r *http.Request) {
	if a.Console != nil && wantsPage(r) {
		w.Header().Set("Vary", "Accept")
		http.Redirect(w, r, pagesAt, http.StatusFound)
		return
	}
	index(w, r)
}

// wantsPage tells whether a browser asks for something to show.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// isPage tells whether a request is for the console's own pages. They are the same
// for everyone and tell nothing, so they need no token: a browser can send one
// only once they are there to ask for it.
func (a *API) isPage(r *http.Request) bool {
	if a.Console == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return strings.HasPrefix(r.URL.Path+"/", pagesAt) || r.URL.Path == "/" && wantsPage(r)
}

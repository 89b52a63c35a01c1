package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard lets through who may use the API:
//
//   - with a token: whoever sends it as "Authorization: Bearer TOKEN", and
//     everyone to the console's pages, which ask for it;
//   - without one: peers on this machine whose Host is this machine, since a
//     page in a browser here can reach loopback under a name of its own
//     (DNS rebinding) but can't choose the Host;
//   - never a cross-site request that could change something (Sec-Fetch-Site
//     and Origin).
func (a *API) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ""
		if a.Token != nil {
			token = a.Token()
		}
		switch {
		case token != "" && !hasToken(r, token) && !a.isPage(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="maru admin"`)
			refuse(w, http.StatusUnauthorized, "send the token of admin.token-file: Authorization: Bearer TOKEN")
		case token == "" && !local(r.RemoteAddr):
			refuse(w, http.StatusForbidden, "only this machine may use the admin API without a token")
		case token == "" && !ownHost(r.Host):
			refuse(w, http.StatusForbidden, "the Host field names another machine; use localhost or 127.0.0.1")
		case cross.Check(r) != nil:
			refuse(w, http.StatusForbidden, "a page of another site must not change anything here")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hasToken compares in constant time; hashes make the lengths equal.
func hasToken(r *http.Request, token string) bool {
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(strings.TrimSpace(sent)))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && strings.EqualFold(scheme, "bearer")
}

func local(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// ownHost tells whether a Host field names this machine as seen from itself.
func ownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

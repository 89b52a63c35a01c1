package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
)

// acted writes the line about what an operator did: what, to whom, from where.
func (a *API) acted(r *http.Request, action string, to ...slog.Attr) {
	if a.Log == nil {
		return
	}
	attrs := append([]slog.Attr{slog.String("action", action)}, to...)
	attrs = append(attrs, slog.String("by", "api"), slog.String("remote", r.RemoteAddr))
	a.Log.LogAttrs(r.Context(), slog.LevelInfo, "operator action", attrs...)
}

// mostAction bounds the body of an action.
const mostAction = 64 << 10

// read reads the body of an action into v; false when it was refused, with fix
// telling what to write.
func read(w http.ResponseWriter, r *http.Request, v any, fix string) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostAction))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		refuse(w, http.StatusBadRequest, "the body can't be read: "+err.Error()+"; "+fix)
		return false
	}
	if _, err := d.Token(); err != io.EOF {
		refuse(w, http.StatusBadRequest, "something follows the body; "+fix)
		return false
	}
	return true
}

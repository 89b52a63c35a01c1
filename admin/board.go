package admin

import "net/http"

// boards puts up what shows the last minutes; a process that counts nothing has
// none.
func (a *API) boards(mux *http.ServeMux) {
	if a.Board == nil {
		return
	}
	mux.HandleFunc("GET /v1/board", a.Board.ServeView)
	mux.HandleFunc("GET /v1/board/stream", a.Board.ServeStream)
}

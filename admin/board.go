package admin

import (
	"net/http"

	"github.com/maru-msa/maru/metrics"
)

// boards puts up what shows the last minutes; a process that counts nothing has
// none.
func (a *API) boards(mux *http.ServeMux) {
	if a.Board != nil {
		mux.HandleFunc("GET /v1/board", a.Board.ServeView)
		mux.HandleFunc("GET /v1/board/stream", a.Board.ServeStream)
	}
	if a.Hystrix != nil {
		mux.Handle("GET /hystrix.stream", a.Hystrix)
		mux.Handle("GET /actuator/hystrix.stream", a.Hystrix)
	}
	if a.Turbine != nil {
		mux.HandleFunc("GET /turbine.stream", a.Turbine.ServeStream)
		mux.HandleFunc("GET /clusters", a.Turbine.ServeClusters)
	}
}

// readers are the readers of each kind of stream.
func (a *API) readers() (list []metrics.Readers) {
	if a.Board != nil {
		list = append(list, a.Board.Readers())
	}
	if a.Hystrix != nil {
		list = append(list, a.Hystrix.Readers())
	}
	if a.Turbine != nil {
		list = append(list, a.Turbine.Readers())
	}
	return list
}

// streams is who reads the streams, and whose are read.
func (a *API) streams(e *exposition) {
	list := a.readers()
	open := e.gauge("maru_stream_readers", "Clients that read a stream.", "stream")
	cut := e.counter("maru_stream_cut_total", "Readers that were cut because they fell behind.", "stream")
	refused := e.counter("maru_stream_refused_total", "Readers that found no seat.", "stream")
	for _, r := range list {
		open.add(float64(r.Open), r.Stream)
		cut.add(float64(r.Cut), r.Stream)
		refused.add(float64(r.Refused), r.Stream)
	}
	if a.Turbine != nil {
		followed, connected := a.Turbine.Hosts()
		e.gauge("maru_turbine_instances", "Instances whose hystrix.stream is followed.").add(float64(followed))
		e.gauge("maru_turbine_instances_connected", "Those of them that were heard in the last ten seconds.").add(float64(connected))
	}
}

// Package metrics makes of what the process counts what people look at: the
// board of the console and the streams that dashboards of Hystrix and Turbine
// read.
//
// The flow: nothing here lies on the way of a request. [Board.Run] reads the
// counters of telemetry once a second and files how much they grew: two minutes
// of totals, one of every service, ten seconds of every route. Everything else
// is made when somebody looks: a frame of the board, once a second for all of
// its readers, from those seconds and from the services' own statistics
// (upstream.Stats: breaker, limit, budget, latencies); a frame of hystrix.stream
// from the same statistics. [Turbine] follows the hystrix.streams of registered
// instances, keeps each one's last objects, and adds them up with our own.
//
//	telemetry.Recorder ──1 s──► Board ──► /v1/board, /v1/board/stream
//	upstream.Cluster.Stats ──┬──►   │
//	                         └──► Hystrix ──► /hystrix.stream ─┐
//	streams of instances ─────────► Turbine ◄── own objects ───┘──► /turbine.stream
//
// Readers of a stream share the encoded bytes. Each writes on its own goroutine
// with a deadline: who can't take a frame within two seconds is cut, and nobody
// else waits ([seats]).
//
// A window's numbers are differences of counters that only grow, so they are the
// counts of the access log, no estimate. Percentiles come from merged histograms
// and are never averaged; only Turbine adds up percentiles, because its boards
// divide what they get by the number of hosts.
package metrics

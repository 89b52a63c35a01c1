package krakend

import "strings"

// namespace says what is known of a namespace of extra_config that has no equal.
func namespace(name string) gap {
	for _, k := range []struct {
		prefix string
		gap
	}{
		{"auth/validator", gap{words: "is not imported: without it everybody could call", fix: "check tokens before the gateway, or at the service; then take the comment away", shut: true}},
		{"auth/signer", gap{words: "is not imported: the answer would go out unsigned", fix: "let the service sign", shut: true}},
		{"auth/", gap{words: "is not imported: who may call is not decided without it", fix: "decide it before the gateway, or at the service; then take the comment away", shut: true}},
		{"security/", gap{words: "is not imported: it decides who may call", fix: "decide it before the gateway, or at the service; then take the comment away", shut: true}},
		{"validation/", gap{words: "is not imported: requests would not be checked", fix: "check them at the service; then take the comment away", shut: true}},
		{"qos/ratelimit", gap{words: "is not imported", fix: "bound what is under way with the filter bulkhead, or limit rates in front of maru"}},
		{"modifier/request-body-generator", gap{words: "has no equal: the body would be another", fix: "write body: at the call", shut: true}},
		{"modifier/response-body", gap{words: "has no equal: more might be answered", fix: "let the service answer so", shut: true}},
		{"modifier/jmespath", gap{words: "has no equal: more might be answered", fix: "select fields, or let the service answer so", shut: true}},
		{"modifier/lua", gap{words: "has no equal: programs are not carried over", fix: "write what it does by filters, or at the service", shut: true}},
		{"modifier/", gap{words: "has no equal: requests or answers would be others", fix: "write it by the filters headers, query and rewrite, or headers: of a call; then take the comment away", shut: true}},
		{"plugin/", gap{words: "has no equal: programs are not carried over", fix: "write what it does by filters, or at the service", shut: true}},
		{"backend/http/client", gap{words: "is not imported", fix: "write tls: and the like at the service", shut: true}},
		{"backend/http", gap{words: "is not imported: what a status of the service does is said in docs/views.md", fix: "write parts: for what may fail", look: true}},
		{"backend/graphql", gap{words: "is not imported: the query would not be sent", fix: "write the call with body: { query: … }", shut: true}},
		{"backend/", gap{words: "is not imported: it calls something that is no HTTP service", fix: "put a service in front of it", shut: true}},
		{"workflow", gap{words: "is not imported", fix: "write a merge with references", shut: true}},
		{"websocket", gap{words: "is not imported", fix: "write a route: WebSockets pass through", shut: true}},
		{"async/", gap{words: "is not imported", fix: "keep it where it is", shut: true}},
		{"grpc", gap{words: "is not imported", fix: "write a route: gRPC passes through"}},
		{"telemetry/", gap{words: "is not imported: maru has an access log and metrics of its own", fix: "nothing, or see docs/operations.md", look: true}},
		{"documentation/", gap{words: "is not about requests", fix: "nothing", look: true}},
		{"server/", gap{words: "is not imported", fix: "attach filters to the routes", look: true}},
		{"router", gap{words: "is not imported", fix: "look for its keys in docs/import-krakend.md", look: true}},
	} {
		if strings.HasPrefix(name, k.prefix) {
			return k.gap
		}
	}
	return gap{words: "is not known", fix: "look whether KrakenD knows it; then take the comment away", shut: true}
}

// serviceGaps are keys of the service level that have no equal.
func serviceGaps() map[string]gap {
	own := gap{words: "is not imported: maru has a limit of its own", fix: "see listen.public.limits and the time-outs of docs/operations.md", look: true}
	return map[string]gap{
		"read_timeout": own, "write_timeout": own, "idle_timeout": own, "read_header_timeout": own, "max_header_bytes": own, "max_shutdown_wait_time": own,
		"max_idle_connections":    {words: "has no equal: connections are bounded for each endpoint", fix: "write connections: at the services", look: true},
		"dialer_keep_alive":       {words: "has no equal: the system's is used", fix: "nothing", look: true},
		"dialer_fallback_delay":   {words: "has no equal", fix: "nothing", look: true},
		"expect_continue_timeout": {words: "has no equal", fix: "nothing", look: true},
		"disable_keep_alives":     {words: "is not imported", fix: "write connections: { idle: 0 } at the services", look: true},
		"disable_compression":     {words: "has no equal: calls of views ask for no compression", fix: "nothing", look: true},
		"disable_rest":            {words: "is not needed: any path is taken", fix: "nothing", look: true},
		"disable_strict_rest":     {words: "is not needed: any path is taken", fix: "nothing", look: true},
		"dns_cache_ttl":           {words: "is not imported: names are asked for as long as they may be kept", fix: "write dns: { name: …, refresh: … } at the service", look: true},
		"debug_endpoint":          {words: "is not imported", fix: "use maru explain", look: true},
		"echo_endpoint":           {words: "is not imported", fix: "use the filter respond", look: true},
		"sequential_start":        {words: "has no equal", fix: "nothing", look: true},
		"plugin":                  {words: "is not imported: programs are not carried over", fix: "write what they do by filters, or at the services"},
		"async_agent":             {words: "is not imported", fix: "keep it where it is"},
	}
}

// endpointGaps are keys of endpoints that have no equal.
func endpointGaps() map[string]gap {
	return map[string]gap{
		"querystring_params": {words: "is a key of version 2", fix: "write input_query_strings"},
		"headers_to_pass":    {words: "is a key of version 2", fix: "write input_headers"},
	}
}

// backendGaps are keys of backends that have no equal.
func backendGaps() map[string]gap {
	return map[string]gap{
		"whitelist": {words: "is a key of version 2", fix: "write allow", shut: true},
		"blacklist": {words: "is a key of version 2", fix: "write allow", shut: true},
	}
}

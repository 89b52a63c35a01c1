// Package conformance runs other people's suites against maru. It is a module of
// its own, so that what the suites need never comes near the binary.
//
// The flow: each test starts a gateway in this process, in front of a service
// that the suite brings or that is a few lines long, and lets the suite speak to
// the gateway: h2spec for HTTP/2 (RFC 9113, RFC 7541), and gRPC's
// interoperability client, first straight to gRPC's own server to see what must
// pass, then through the gateway. Clients of Eureka speak to the registry, and
// turbine.stream follows the streams of hystrix-go and of packages for JavaScript
// that npm fetches (skipped where it can't). The audits of graphql-http ask the
// GraphQL front door, and gqlparser's cases of validation go through it. Package scan is compared with other
// readers of JSON, without a gateway.
//
//	go test ./...            # in this folder, or make conformance
package conformance

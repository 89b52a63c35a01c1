// Package contract loads what services promised (OpenAPI 3.0 and 3.1, JSON
// Schema 2020-12) and checks messages against it.
//
// The flow:
//
//	file ─ Decode ─► Node tree with places ─► references ─► schemas ─ compiler ─► scan.Program
//	                                                          │ what no scan decides
//	                                                          └─► a reference validator, on the value's own span
//	Contract ─ Operations ─► Operation.Parameters(request, Verdict)
//	                         Operation.Request(mediaType) ─► Media.Check(body, Verdict)
//	                         Operation.Response(status)   ─► the same for answers
//
// Everything is compiled when the contract loads. A fault of the file is a
// finding with file, line and column; nothing is found out at run time. A check
// changes no message and never tells a value: a [Violation] holds the place, the
// keyword and what was wanted.
//
// A schema becomes two programs where readOnly and writeOnly make requests and
// answers differ. What the scanner decides (types, bounds, members, elements,
// choices that a tag or a type settles) costs one pass over the bytes and no
// memory; a subtree with another keyword (not, if, contains, unevaluated…) goes
// to github.com/santhosh-tekuri/jsonschema once the scan has passed it, within
// bounds of size and numbers. [Contract.Coverage] tells which those are.
//
// [Drift] keeps what answers break, within bounds, for operators to look at.
package contract

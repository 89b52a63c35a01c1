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
//	two Versions ─ Diff ─► Changes, as callers see them
//	Version ─ NewMock ─► an answer for each operation
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
// Forms are checked as JSON: their fields become the members of an object, which is
// then scanned. [Style] holds several contracts against the rules of a team.
//
// [Drift] keeps what answers break, within bounds, for operators to look at.
package contract

// Package scan reads JSON without decoding it: one pass checks the grammar and
// the UTF-8 of every byte, and leaves the wanted nodes as spans of the body.
//
// The flow:
//
//	Builder ─ Mask ─► Scan(mask, body, tape) ─► Tape of Entry{off, len, next, field, kind}
//	                     one pass, all bytes          │ Child, First/After, Span, Name
//	                                                  ▼
//	          Output: literals + spans ◄───── whoever shapes the answer
//
//	Schema ─ Compile ─► Program.Scan(body, tape, report): the same pass, with checks
//	Scanner.Write(chunk)… Close ─► the same verdict (and report), without body and tape
//
// A Mask says what is wanted: a tree of member names in which each node has a
// small number, its Field. Arrays need no node. Scan writes an Entry for every
// wanted node it meets, in the order of the text; what nobody wants is checked
// and forgotten. Nothing is decoded: 12345678901234567890, 1.10, 1e400 and every
// escape leave as they came. A string is unescaped only where someone compares
// it (SameKey, HashKey, IsText) or asks for its text (Unquote).
//
// # What is refused
//
// Everything that RFC 8259 does not allow, and what services are known to read
// differently from one another: duplicate names (in objects that a mask enters,
// and everywhere under Rules.Unique; names are compared unescaped), lone
// surrogates, bytes that are not UTF-8, a byte order mark (unless skipped), more
// than one value; and what has no bound: nesting, members of an object, the
// length of a number (Rules). The answer is an *Error with a Reason, the offset,
// line and column, and never a byte of the text.
//
// # One machine
//
// Whole bodies and chunks go through one machine (machine.go): a loop of jumps
// between the places of the grammar, with a stack of open arrays and objects. At
// the end of a chunk it notes the place; if that lies inside a token, it carries
// the token's bytes (a number, a name) or only the escape or UTF-8 sequence that
// was cut (a string that nobody asks for), and goes on from there. So the verdict
// does not depend on the chunks, and a whole body pays nothing for it.
//
// A machine also remembers names (steps.go): objects of one kind have their members
// in one order, so the next object, or the next text under the same mask, is read
// by comparing a name with the one that came here before. That saves the search
// for what is wanted and for duplicates; it never changes a verdict.
//
// # Programs
//
// A Program is a Mask whose nodes carry checks. Schema is what can be said of one
// place of a text and decided while it goes by; whoever loads contracts fills
// it. Compile joins all that holds at one place (allOf, references, properties
// and the patterns that match their names, and what the mask wants) into one
// node, so that no value is looked at twice, and memoises nodes by what they
// join, so that recursive schemas end. A choice (oneOf, anyOf) becomes a jump by
// the type of the value, or by a tag that is looked up ahead of the object. What no
// scan decides (not, if, unevaluated…, equality of objects) is refused with
// ErrUndecided, or left to a Foreign, which gets the whole span once it has ended.
//
// The machine calls the checks at five places, and only for nodes that have
// some: at a scalar (judge), at the begin and end of an array or object (admit,
// leave), at a name (watched), at an element (element). They read spans; numbers
// are compared by sign, digits and exponent, never converted. Violations go
// into a Report, which holds the place, the keyword and what was wanted, never
// the value.
//
// # Memory
//
// A Tape refers to the body: the caller keeps the body, unchanged, as long as he
// uses the Tape. Tapes come from a pool (NewTape, Release) with all working
// memory; on valid input a scan allocates nothing once the Tape has grown to the
// size of the answers. An Output owns its buffer, but spans of ByReference bytes
// and more stay in the body they came from.
package scan

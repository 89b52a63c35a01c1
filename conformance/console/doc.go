// Package console drives maru's console with a real browser, as somebody at it
// would: every page, every action, with the pointer and with the keyboard.
//
// The flow: a test starts maru as a process in front of services of its own and
// a Chromium with an empty profile, goes through the pages, and compares what
// they show with the access log, and what an action did with what the operator's
// API then says. A complaint in the browser's console fails the test. Without a
// Chromium the tests are skipped and say so; make test installs one.
package console

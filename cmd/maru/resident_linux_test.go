package main

import "testing"

func TestTablesOf(t *testing.T) {
	const self = "/opt/maru/maru"
	for line, want := range map[string][2]uintptr{
		"00400000-01200000 r--p 00000000 08:01 42                                 /opt/maru/maru":           {0x400000, 0x1200000},
		"01200000-02000000 r-xp 00e00000 08:01 42                                 /opt/maru/maru":           {},
		"02000000-02100000 rw-p 01c00000 08:01 42                                 /opt/maru/maru":           {},
		"7f0000000000-7f0000100000 r--p 00000000 08:01 7                          /usr/lib/libc.so.6":       {},
		"00400000-01200000 r--p 00000000 08:01 42                                 /opt/maru/maru (deleted)": {},
		"7ffd00000000-7ffd00002000 r--p 00000000 00:00 0                          [vdso]":                   {},
		"": {},
	} {
		if from, to, ok := tablesOf(line, self); from != want[0] || to != want[1] || ok != (want[1] != 0) {
			t.Errorf("%q: %x-%x %v, want %x", line, from, to, ok, want)
		}
	}
}

// TestForgetTables runs on after its own constants went away.
func TestForgetTables(t *testing.T) {
	for range 3 {
		if err := forgetTables(); err != nil {
			t.Fatal(err)
		}
	}
}

package main

import "testing"

func TestCodeOf(t *testing.T) {
	const self = "/opt/maru/maru"
	for line, want := range map[string][2]uintptr{
		"00400000-01200000 r-xp 00000000 08:01 42                                 /opt/maru/maru":           {0x400000, 0x1200000},
		"01200000-02000000 r--p 00e00000 08:01 42                                 /opt/maru/maru":           {},
		"02000000-02100000 rw-p 01c00000 08:01 42                                 /opt/maru/maru":           {},
		"7f0000000000-7f0000100000 r-xp 00000000 08:01 7                          /usr/lib/libc.so.6":       {},
		"00400000-01200000 r-xp 00000000 08:01 42                                 /opt/maru/maru (deleted)": {},
		"7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]":                   {},
		"": {},
	} {
		if from, to, ok := codeOf(line, self); from != want[0] || to != want[1] || ok != (want[1] != 0) {
			t.Errorf("%q: %x-%x %v, want %x", line, from, to, ok, want)
		}
	}
}

// TestForgetCode runs on after its own code went away.
func TestForgetCode(t *testing.T) {
	for range 3 {
		if err := forgetCode(); err != nil {
			t.Fatal(err)
		}
	}
}

package main

import (
	"os"
	"os/exec"
	"testing"
)

// asMaru makes the test binary be maru: tests start it as a process, and so does
// maru itself where it starts itself again.
const asMaru = "MARU_TEST_AS_MARU"

func TestMain(m *testing.M) {
	if os.Getenv(asMaru) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// maru is a command line of this program, to run as a process of its own.
func maru(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asMaru+"=1", "NO_COLOR=1")
	return cmd
}

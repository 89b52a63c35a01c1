package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by a release build (-ldflags "-X main.version=v1.2.3").
var version = ""

type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run() error { //nolint:unparam // kong asks for an error
	fmt.Printf("maru %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

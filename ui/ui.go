// Package ui holds the pages of the console as Vite built them from console-src
// (make console). They are committed, so that go install needs no Node.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files gives the built pages: index.html, and assets/ with a hash in each name.
func Files() (fs.FS, error) { return fs.Sub(dist, "dist") }

package main

import (
	"log/slog"
	"net"
	"os"
)

// tellSystemd sends a state to the service manager (sd_notify(3)): a datagram
// to the unix socket that NOTIFY_SOCKET names. Without one it does nothing.
func tellSystemd(log *slog.Logger, state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	// A leading @ is the abstract namespace, which package net writes the same way.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		_ = c.Close()
	}
	if err != nil {
		log.Warn("the service manager was not told", "state", state, "error", err)
	}
}

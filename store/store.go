// Package store opens databases: SQLite where the state is embedded. Everything
// that touches a SQL driver does it here.
//
// The flow: a role opens its database with its schema and gets a *sql.DB. The
// database is in WAL mode, waits for locks instead of failing, checks foreign
// keys, and is as durable as the caller asks.
package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Options say how to open a database.
type Options struct {
	// Path is the file; it is made when missing. ":memory:" is for tests.
	Path string
	// Schema is run at opening; it must bear running again (IF NOT EXISTS).
	Schema string
	// Durable syncs every commit to the disk; without it the last moments may
	// be lost with the power, never the consistency.
	Durable bool
}

// Open opens a SQLite database.
func Open(ctx context.Context, o Options) (*sql.DB, error) {
	sync := "NORMAL"
	if o.Durable {
		sync = "FULL"
	}
	q := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + sync + ")", "foreign_keys(1)",
	}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+o.Path+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", o.Path, err)
	}
	if o.Path == ":memory:" {
		db.SetMaxOpenConns(1) // every connection would have a memory of its own
	}
	if _, err := db.ExecContext(ctx, o.Schema); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("set up database %s: %w", o.Path, err)
	}
	return db, nil
}

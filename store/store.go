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
	"errors"
	"fmt"
	"net/url"
	"time"

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
	path := url.URL{Path: o.Path} // a URI to SQLite: '?', '#' and '%' of a file's name are escaped
	db, err := sql.Open("sqlite", "file:"+path.EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", o.Path, err)
	}
	if o.Path == ":memory:" {
		db.SetMaxOpenConns(1) // every connection would have a memory of its own
	}
	if err := setUp(ctx, db, o.Schema); err != nil {
		return nil, errors.Join(fmt.Errorf("set up database %s: %w", o.Path, err), db.Close())
	}
	return db, nil
}

// Processes that open a database at the same moment meet while one of them turns
// it into WAL mode: SQLite refuses the others at once instead of letting them
// wait for busy_timeout, since waiting could be a deadlock.
const (
	busyCode  = 5 // SQLITE_BUSY, the low byte of its extended codes
	busyLimit = 5 * time.Second
	busyPause = 10 * time.Millisecond
)

// setUp runs the schema, which opens the first connection, and again while the
// database is busy.
func setUp(ctx context.Context, db *sql.DB, schema string) error {
	ctx, stop := context.WithTimeout(ctx, busyLimit)
	defer stop()
	pause := time.NewTicker(busyPause)
	defer pause.Stop()
	for {
		_, err := db.ExecContext(ctx, schema)
		var coded interface{ Code() int }
		if err == nil || !errors.As(err, &coded) || coded.Code()&0xFF != busyCode {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-pause.C:
		}
	}
}

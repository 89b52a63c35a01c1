package store

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const schema = `CREATE TABLE IF NOT EXISTS thing (id INTEGER PRIMARY KEY, kind INTEGER REFERENCES thing(id)) STRICT;`

func open(t *testing.T, o Options) *sql.DB {
	t.Helper()
	o.Schema = schema
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func pragma(t *testing.T, db *sql.DB, name string) string {
	t.Helper()
	var v string
	if err := db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpenSetsTheDatabaseUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name    string
		durable bool
		sync    string
	}{{"plain.db", false, "1"}, {"durable.db", true, "2"}, {"with space & ?#%.db", true, "2"}} {
		db := open(t, Options{Path: filepath.Join(dir, c.name), Durable: c.durable})
		for name, want := range map[string]string{"journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000", "synchronous": c.sync} {
			if got := pragma(t, db, name); got != want {
				t.Errorf("%s: %s is %s, not %s", c.name, name, got, want)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, c.name)); err != nil {
			t.Error(err)
		}
		if _, err := db.ExecContext(t.Context(), "INSERT INTO thing (kind) VALUES (99)"); err == nil {
			t.Errorf("%s: a reference to nothing was taken", c.name)
		}
	}
}

func TestMemoryIsOneDatabase(t *testing.T) {
	t.Parallel()
	db := open(t, Options{Path: ":memory:"})
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			if _, err := db.ExecContext(t.Context(), "INSERT INTO thing DEFAULT VALUES"); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM thing").Scan(&n); err != nil || n != 8 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shared.db")
	var opening sync.WaitGroup
	for range 12 {
		opening.Go(func() {
			db, err := Open(t.Context(), Options{Path: path, Schema: schema})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := db.ExecContext(t.Context(), "INSERT INTO thing DEFAULT VALUES"); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{Path: filepath.Join(t.TempDir(), "no", "such", "folder.db"), Schema: schema},
		{Path: filepath.Join(t.TempDir(), "a.db"), Schema: "CREATE TABEL thing"},
	} {
		db, err := Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), o.Path) {
			t.Errorf("%s", fmt.Sprint(db, err))
		}
	}
}

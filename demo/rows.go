package demo

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// list runs a query and scans every row.
func list[T any](ctx context.Context, db querier, scan func(row scanner, v *T) error, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := []T{} // an empty list is [] in JSON, not null
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// scanner is one row.
type scanner interface {
	Scan(dest ...any) error
}

// within runs f in a transaction: all of it happens, or nothing. Transactions
// of one database run one after the other, those of other processes included.
func within(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// seed is the first content of one table.
type seed struct {
	table   string
	columns []string
	rows    [][]any
}

// sow fills tables once: those of a database whose first table is empty, all or
// nothing. Two instances that start together do not fill twice.
func sow(ctx context.Context, db *sql.DB, seeds ...seed) error {
	return within(ctx, db, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+seeds[0].table).Scan(&n); err != nil || n > 0 {
			return err
		}
		for _, s := range seeds {
			insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", //nolint:gosec // names from this package
				s.table, strings.Join(s.columns, ", "), strings.Repeat(", ?", len(s.columns)-1))
			for _, row := range s.rows {
				if _, err := tx.ExecContext(ctx, insert, row...); err != nil {
					return fmt.Errorf("table %s: %w", s.table, err)
				}
			}
		}
		return nil
	})
}

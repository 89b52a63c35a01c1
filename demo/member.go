package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/http"
	"strings"
)

const memberSchema = `
CREATE TABLE IF NOT EXISTS member (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, joined TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS token (
	token TEXT PRIMARY KEY, member INTEGER NOT NULL REFERENCES member(id), issued TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;`

// Member is a customer.
type Member struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Joined string `json:"joined"`
}

func seedMembers(ctx context.Context, db *sql.DB) error {
	names := []string{"김서연", "이도윤", "박하준", "최지우", "정민서", "강예준", "조수아", "윤지호", "장하은", "임시우", "한유진", "오건우"}
	rows := make([][]any, len(names))
	for i, n := range names {
		rows[i] = []any{n, "guest" + string(rune('a'+i)) + "@example.com", "2026-0" + string(rune('1'+i%9)) + "-15"}
	}
	return fill(ctx, db, "member", "INSERT INTO member (name, email, joined) VALUES (?, ?, ?)", rows)
}

func memberRoutes(s *service) map[string]action {
	return map[string]action{
		"POST /token":       s.newToken,
		"GET /me":           s.whoAmI,
		"GET /members/{id}": s.member,
	}
}

// newToken gives a token to a member that names an e-mail address. There is no
// password: this is a demonstration of routes, not of identity.
func (s *service) newToken(r *http.Request) (int, any, error) {
	in, err := read[struct {
		Email string `json:"email"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	var member int64
	err = s.db.QueryRowContext(r.Context(), "SELECT id FROM member WHERE email = ?", in.Email).Scan(&member)
	if err != nil {
		return 0, nil, err
	}
	token := rand.Text()
	_, err = s.db.ExecContext(r.Context(), "INSERT INTO token (token, member) VALUES (?, ?)", token, member)
	return http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "member": member}, err
}

func (s *service) whoAmI(r *http.Request) (int, any, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return 0, nil, &fault{http.StatusUnauthorized, "no bearer token"}
	}
	m, err := scanMember(s.db.QueryRowContext(r.Context(),
		"SELECT m.id, m.name, m.email, m.joined FROM member m JOIN token t ON t.member = m.id WHERE t.token = ?", token))
	return http.StatusOK, m, err
}

func (s *service) member(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	m, err := scanMember(s.db.QueryRowContext(r.Context(), "SELECT id, name, email, joined FROM member WHERE id = ?", n))
	return http.StatusOK, m, err
}

func scanMember(row *sql.Row) (Member, error) {
	var m Member
	err := row.Scan(&m.ID, &m.Name, &m.Email, &m.Joined)
	return m, err
}

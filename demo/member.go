package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"
)

const memberSchema = `
CREATE TABLE IF NOT EXISTS member (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE COLLATE NOCASE,
	joined TEXT NOT NULL DEFAULT (date('now'))
) STRICT;
CREATE TABLE IF NOT EXISTS token (
	hash BLOB PRIMARY KEY, member INTEGER NOT NULL REFERENCES member(id), ends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS token_ends ON token (ends);`

// Member is a customer.
type Member struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Joined string `json:"joined"` // a date: 2026-03-15
}

// Token lets its bearer act as a member.
type Token struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"` // Bearer
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Member      int64  `json:"member"`
}

func seedMembers(ctx context.Context, db *sql.DB) error {
	s := seed{table: "member", columns: []string{"name", "email", "joined"}}
	for i, m := range [][2]string{
		{"김서연", "seoyeon.kim"},
		{"이도윤", "doyun.lee"},
		{"박하준", "hajun.park"},
		{"최지우", "jiwoo.choi"},
		{"정민서", "minseo.jung"},
		{"강예준", "yejun.kang"},
		{"조수아", "sua.cho"},
		{"윤지호", "jiho.yoon"},
		{"장하은", "haeun.jang"},
		{"임시우", "siwoo.lim"},
		{"한유진", "yujin.han"},
		{"오건우", "gunwoo.oh"},
	} {
		joined := time.Date(2025, time.September, 3+23*i, 0, 0, 0, 0, time.UTC)
		s.rows = append(s.rows, []any{m[0], m[1] + "@example.com", joined.Format(time.DateOnly)})
	}
	return sow(ctx, db, s)
}

func memberRoutes(s *Service) map[string]action {
	return map[string]action{
		"POST /token":       s.signIn,
		"GET /me":           s.whoAmI,
		"POST /members":     s.join,
		"GET /members":      s.members,
		"GET /members/{id}": s.member,
	}
}

// tokenLife is how long a token is good for.
const tokenLife = time.Hour

// signIn gives a token to whoever names a member's e-mail address. There is no
// password: this demonstrates routes, not identity. Only the token's hash is
// kept, and those that ended are swept out with each new one.
func (s *Service) signIn(r *http.Request) (int, any, error) {
	ctx := r.Context()
	in, err := read[struct {
		Email string `json:"email"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := text("email", in.Email, 100); err != nil {
		return 0, nil, err
	}
	out := Token{AccessToken: rand.Text(), TokenType: "Bearer", ExpiresIn: int64(tokenLife / time.Second)}
	err = s.db.QueryRowContext(ctx, "SELECT id FROM member WHERE email = ?", in.Email).Scan(&out.Member)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, &fault{http.StatusUnauthorized, "email", "no member has this e-mail address"}
	}
	if err != nil {
		return 0, nil, err
	}
	hash, now := sha256.Sum256([]byte(out.AccessToken)), time.Now()
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM token WHERE ends < ?", now.Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO token (hash, member, ends) VALUES (?, ?, ?)",
			hash[:], out.Member, now.Add(tokenLife).Unix())
		return err
	})
	return http.StatusOK, out, err
}

// whoAmI tells whose token it is.
func (s *Service) whoAmI(r *http.Request) (int, any, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return 0, nil, &fault{http.StatusUnauthorized, "", "send Authorization: Bearer TOKEN; POST /token gives one"}
	}
	hash := sha256.Sum256([]byte(token))
	m, err := scanMember(s.db.QueryRowContext(r.Context(), `SELECT m.id, m.name, m.email, m.joined
		FROM member m JOIN token t ON t.member = m.id WHERE t.hash = ? AND t.ends >= ?`, hash[:], time.Now().Unix()))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, &fault{http.StatusUnauthorized, "", "the token is unknown or has ended"}
	}
	return http.StatusOK, m, err
}

// join makes a new member. An address that has one already is a conflict.
func (s *Service) join(r *http.Request) (int, any, error) {
	ctx := r.Context()
	in, err := read[struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	if err := firstOf(text("name", in.Name, 40), text("email", in.Email, 100)); err != nil {
		return 0, nil, err
	}
	if a, err := mail.ParseAddress(in.Email); err != nil || a.Address != in.Email {
		return 0, nil, bad("email", "%q is not an e-mail address", in.Email)
	}
	var m Member
	err = within(ctx, s.db, func(tx *sql.Tx) error {
		var taken bool
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM member WHERE email = ?)", in.Email).Scan(&taken)
		if err != nil {
			return err
		}
		if taken {
			return conflict("%s is a member already", in.Email)
		}
		m, err = scanMember(tx.QueryRowContext(ctx,
			"INSERT INTO member (name, email) VALUES (?, ?) RETURNING id, name, email, joined", in.Name, in.Email))
		return err
	})
	return http.StatusCreated, m, err
}

func (s *Service) member(r *http.Request) (int, any, error) {
	n, err := id(r)
	if err != nil {
		return 0, nil, err
	}
	m, err := scanMember(s.db.QueryRowContext(r.Context(), "SELECT id, name, email, joined FROM member WHERE id = ?", n))
	return http.StatusOK, m, orMissing(err, "member", n)
}

// members gives those of ?ids= that there are, by their id.
func (s *Service) members(r *http.Request) (int, any, error) {
	wanted, err := someIDs(r, "ids")
	if err != nil {
		return 0, nil, err
	}
	out, err := list(r.Context(), s.db, func(row scanner, m *Member) (err error) {
		*m, err = scanMember(row)
		return err
	}, "SELECT id, name, email, joined FROM member WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", wanted)
	return http.StatusOK, out, err
}

func scanMember(row scanner) (Member, error) {
	var m Member
	if err := row.Scan(&m.ID, &m.Name, &m.Email, &m.Joined); err != nil {
		return m, fmt.Errorf("read member: %w", err)
	}
	return m, nil
}

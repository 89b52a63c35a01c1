package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
)

func TestGraphSDL(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "maru.yaml")
	text := `services: { s: http://127.0.0.1:9101 }
graph:
  Member:
    key: id
    many: "s GET /members?ids={keys,}"
    fields: { id: _, name: profile.displayName as String!, tags: "_ as [String!]", auctions: "[Auction](member: id)" }
  Auction:
    key: id
    by: { member: { one: "s GET /auctions?member={key}&limit={first:10}&sort={sort?}" } }
    fields: { id: _ as Int!, of: Any, owner: "Member(id: ownerId)" }
  Any: { union: [Member, Auction], tag: kind }
  Query: { top: { type: "[Auction!]!", args: { first: Int = 10, from: Float }, call: "s GET /top?n={first}&from={from?}" } }
  Mutation: { bid: { type: Auction, args: { auction: ID!, price: Int! }, call: { call: s POST /bids, body: { a: "{auction}", p: "{price}" } } } }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&graphSDLCommand{File: file, out: &out}).Run(); err != nil {
		t.Fatal(err)
	}
	want := `scalar JSON

scalar Long

directive @sort(by: String!) on FIELD

directive @limit(n: Int!) on FIELD

type Query {
  member(id: ID!): Member
  members(ids: [ID!]!): [Member]
  top(first: Int = 10, from: Float): [Auction!]!
}

type Mutation {
  bid(auction: ID!, price: Int!): Auction
}

union Any = Member | Auction

type Auction {
  id: Int!
  of: JSON
  owner: Member
}

type Member {
  auctions(first: Int, skip: Int, sort: String): [Auction]
  id: ID
  name: String!
  tags(first: Int, skip: Int): [String!]
}
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if _, err := validator.LoadSchema(validator.Prelude, &ast.Source{Name: "sdl", Input: out.String()}); err != nil {
		t.Error(err)
	}
}

package demo

// screens are the composed answers of the gateway: what one screen shows, in one
// request, from the services' own answers. The web shows more than the phone.
const screens = `
# The screens: one request each, composed of several services. Which calls one
# makes tells: maru explain GET /home/7 --client mobile
clients: # the first that fits a request counts
  mobile: { header: "X-Client: mobile" }
  web: { default: true }

sources: # a service without an entry is a source under its own name
  member: { timeout: 250ms, vary: [] }
  auction: { timeout: 250ms, vary: [] }
  restaurant: { timeout: 250ms, vary: [] }
  location: { timeout: 250ms, vary: [], optional: true }
  reward: { timeout: 150ms, vary: [], optional: true }

graph: # what the services' answers are, and how they hang together
  Member:
    key: id
    one: member GET /members/{id}
    many: member GET /members?ids={keys,}
    fields:
      id: _ as Int!
      name: _ as String!
      joined: _ as String!
      reward: "Reward(member: id)"
      addresses: "[Address](member: id)"
      auctions: "[Ask](member: id)"
  Reward:
    key: member
    one: reward GET /members/{member}
    fields: { member: _ as Int!, points: _ as Int!, coupons: "coupons as [Coupon]" }
  Coupon: { fields: { id: _ as Int!, name: _ as String!, percent: _ as Int! } }
  Address:
    by: { member: { one: "location GET /members/{key}/addresses" } }
    fields: { id: _ as Int!, line: _ as String!, district: "District(id: district)" }
  District:
    key: id
    many: location GET /districts?ids={keys,}
    fields: { id: _ as Int!, name: _ as String! }
  Ask: # an auction in a list
    key: id
    by: { member: { one: "auction GET /auctions?member={key}&limit={first:5}" } }
    fields:
      id: _ as Int!
      wish: _ as String!
      people: _ as Int!
      state: _ as String!
      lowest: _ as Int
      customer: "Member(id: member)"
      district: "District(id: district)"
      bids: "[Bid](auction: id)"
  Auction:
    key: id
    one: auction GET /auctions/{id}
    fields:
      id: _ as Int!
      wish: _ as String!
      people: _ as Int!
      opened: _ as String!
      state: _ as String!
      winner: winner as Bid
      customer: "Member(id: member)"
      district: "District(id: district)"
      bids: "[Bid](auction: id)"
      reward: "Reward(member: member)"
  Bid:
    by: { auction: { many: "auction GET /bids?auctions={keys,}" } }
    fields: { id: _ as Int!, price: _ as Int!, restaurant: "Restaurant(id: restaurant)" }
  Restaurant:
    key: id
    many: restaurant GET /restaurants?ids={keys,}
    fields: { id: _ as Int!, name: _ as String!, cuisine: _ as String!, rating: _ as Float!, district: "District(id: district)" }
  Query:
    open: { type: "[Ask]", args: { first: Int = 20 }, call: "auction GET /auctions?state=open&limit={first}" }

views:
  GET /home/{id}: # reward may be down: then ?? stands in, and Maru-Partial says so
    budget: 400ms
    inputs: { id: Int! }
    select:
      web: |
        ...member(id: $id) {
          name joined
          reward { points coupons { name percent } } ?? {"points": null, "coupons": []}
          addresses(first: 10) { line district { name } }
          auctions(first: 5) {
            id wish people state lowest
            bids @sort(by: "price") @limit(n: 3) { price restaurant { name rating } }
          }
        }
      mobile: |
        ...member(id: $id) {
          name
          reward { points } ?? {"points": null}
          auctions(first: 3) { id wish state best: bids @sort(by: "price") @first { price } }
        }

  GET /auctions: # 20 auctions and who asked: two calls, however many there are
    budget: 400ms
    select:
      web: "auctions: open(first: 20) { id wish people state lowest customer { name } }"
      mobile: "auctions: open(first: 20) { id wish lowest }"

  GET /auctions/{id}/screen:
    budget: 400ms
    inputs: { id: Int! }
    select:
      web: |
        ...auction(id: $id) {
          wish people opened state
          customer { name } district { name }
          bids @sort(by: "price") { price restaurant { name cuisine rating district { name } } }
        }
      mobile: |
        ...auction(id: $id) { wish people state bids @sort(by: "price") @limit(n: 3) { price restaurant { name } } }

  GET /orders/{id}/screen: # an auction that was won
    budget: 400ms
    inputs: { id: Int! }
    select:
      web: |
        ...auction(id: $id) {
          id wish people state
          winner { price restaurant { name cuisine rating } }
          customer { name addresses { line } }
          points: reward.points
        }
      mobile: |
        ...auction(id: $id) { wish state winner { price restaurant { name } } }
`

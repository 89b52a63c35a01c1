package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ordersFile is the body that validation is measured with, in requests and answers.
const ordersFile = "10k.json"

// orders is a list of about 10 KB, as services send it: ids, names in two scripts,
// prices, words of a set, times.
func orders() string {
	var b strings.Builder
	b.WriteString(`{"orders":[`)
	for i := range 52 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"A-%05d","memberId":%d,"name":"김서연 Kim","status":%q,"total":%d.50,"gift":%t,"createdAt":"2026-01-%02dT09:%02d:00Z","items":[{"sku":"S%03d","count":%d},{"sku":"S%03d","count":1}]}`,
			i, 1234567890+i, []string{"open", "paid", "sent"}[i%3], 12_000+i*10, i%2 == 0, i%28+1, i, i, i%4+1, i+7)
	}
	fmt.Fprintf(&b, `],"total":%d}`, 52)
	return b.String()
}

// ordersContract is what the list promises.
const ordersContract = `{"openapi":"3.1.0","info":{"title":"orders","version":"1"},
"paths":{"/` + ordersFile + `":{"post":{
 "requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Orders"}}}},
 "responses":{"200":{"description":"the same","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Orders"}}}}}}}},
"components":{"schemas":{
 "Orders":{"type":"object","required":["orders","total"],"properties":{"total":{"type":"integer","minimum":0},"orders":{"type":"array","maxItems":100,"items":{"$ref":"#/components/schemas/Order"}}}},
 "Order":{"type":"object","required":["id","memberId","status","total"],"additionalProperties":false,"properties":{
  "id":{"type":"string","minLength":3,"maxLength":20},"memberId":{"type":"integer","minimum":1},"name":{"type":"string","maxLength":60},
  "status":{"enum":["open","paid","sent"]},"total":{"type":"number","minimum":0},"gift":{"type":"boolean"},"createdAt":{"type":"string","format":"date-time"},
  "items":{"type":"array","items":{"$ref":"#/components/schemas/Item"}}}},
 "Item":{"type":"object","required":["sku","count"],"properties":{"sku":{"type":"string","maxLength":10},"count":{"type":"integer","minimum":1}}}}}}`

// prepareOrders writes the contract and the script of the load.
func prepareOrders(dir string) error {
	script := "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [==[" + orders() + "]==]\n"
	for name, text := range map[string]string{"orders.json": ordersContract, "orders.lua": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the orders: %w", err)
		}
	}
	return nil
}

// postOrders posts the list and gets it back.
func postOrders(ctx context.Context, b *bench, at ports) (outcome, error) {
	return wrk(ctx, "http://"+at.plain+"/"+ordersFile, 64, b.duration, "-s", filepath.Join(b.out, "orders.lua"))
}

package scan_test

import (
	"fmt"
	"testing"

	"github.com/maru-msa/maru/scan"
)

func ExampleScan() {
	var b scan.Builder
	name := b.Path(scan.Root, "name")
	total := b.Path(scan.Root, "auctions.budget.amount")
	auctions := b.Path(scan.Root, "auctions")
	budget := b.Path(scan.Root, "auctions.budget")
	mask, err := b.Mask(scan.ResponseRules())
	if err != nil {
		fmt.Println(err)
		return
	}
	tape := scan.NewTape()
	defer tape.Release()
	body := []byte(`{"id":12345678901234567890, "name":"\uae40", "auctions":[{"budget":{"amount":1.10}},{"budget":null}]}`)
	if err := scan.Scan(mask, body, tape); err != nil {
		fmt.Println(err)
		return
	}
	root := scan.Ref(0)
	fmt.Printf("%s\n", tape.Span(tape.Child(root, name)))
	list := tape.Child(root, auctions)
	for a := tape.First(list); a != scan.None; a = tape.After(list, a) {
		money := tape.Child(a, budget)
		if tape.Kind(money) != scan.Object {
			fmt.Printf("%s\n", tape.Span(money))
			continue
		}
		fmt.Printf("%s\n", tape.Span(tape.Child(money, total)))
	}
	// Output:
	// "\uae40"
	// 1.10
	// null
}

func TestScanAllocatesNothing(t *testing.T) {
	mask := maskOf(t, scan.RequestRules(), "name", "auctions.budget.amount", "auctions.id", "rest.**")
	body := []byte(`{"id":12345678901234567890, "n\u0061me":"\uae40", "auctions":[{"id":"a\"b","budget":{"amount":1.10}},{"budget":null}],
		"rest":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12,"m":13,"n":14,"o":15,"p":16,"q":17,"r":18}}`)
	tape := scan.NewTape()
	defer tape.Release()
	if n := testing.AllocsPerRun(100, func() {
		if err := scan.Scan(mask, body, tape); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a scan", n)
	}
}

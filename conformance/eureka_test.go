package conformance

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hudl/fargo"

	"github.com/maru-msa/maru/registry"
)

// startRegistry serves a registry on loopback and gives its URL.
func startRegistry(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g := registry.New(registry.Config{}, registry.Env{})
	ended := make(chan error, 2)
	go func() { ended <- g.Run(ctx) }()
	go func() { ended <- g.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	for !g.Overview().Open {
		time.Sleep(time.Millisecond) // without peers it opens at once
	}
	return "http://" + ln.Addr().String() + "/eureka"
}

// TestFargo drives the registry with a client of Eureka, unmodified, in both of
// its formats: register, renew, discover by application and by virtual address,
// metadata, status, deregister.
func TestFargo(t *testing.T) {
	for _, version := range []string{"", "/v2"} {
		for _, useJSON := range []bool{false, true} {
			name := "XML" + version
			if useJSON {
				name = "JSON" + version
			}
			t.Run(name, func(t *testing.T) {
				conn := fargo.NewConn(startRegistry(t) + version)
				conn.UseJson = useJSON
				journey(t, &conn)
			})
		}
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func journey(t *testing.T, conn *fargo.EurekaConnection) {
	t.Helper()
	ins := &fargo.Instance{
		InstanceId: "b7:basket:9301", HostName: "b7", App: "BASKET", IPAddr: "10.4.0.7", VipAddress: "basket", SecureVipAddress: "basket-tls",
		Port: 9301, PortEnabled: true, SecurePort: 9443, Status: fargo.UP, DataCenterInfo: fargo.DataCenterInfo{Name: fargo.MyOwn},
		LeaseInfo: fargo.LeaseInfo{RenewalIntervalInSecs: 30, DurationInSecs: 90},
	}
	ins.SetMetadataString("color", "a")
	if err := conn.HeartBeatInstance(ins); err == nil {
		t.Error("a renewal of an unknown instance succeeds")
	}
	must(t, "register", conn.RegisterInstance(ins))
	must(t, "register again", conn.RegisterInstance(ins)) // finds that it is there
	ins.SetMetadataString("color", "a")                   // what it read back from XML it does not send again
	must(t, "register anew", conn.ReregisterInstance(ins))
	must(t, "renew", conn.HeartBeatInstance(ins))

	app, err := conn.GetApp("BASKET")
	must(t, "read the application", err)
	if len(app.Instances) != 1 || app.Instances[0].Port != 9301 || !app.Instances[0].PortEnabled || app.Instances[0].SecurePortEnabled {
		t.Errorf("the application has %+v", app.Instances)
	}
	must(t, "parse metadata", app.ParseAllMetadata())
	if v, err := app.Instances[0].Metadata.GetString("color"); err != nil || v != "a" {
		t.Errorf("the metadata has %q: %v", v, err)
	}
	apps, err := conn.GetApps()
	must(t, "read everything", err)
	if apps["BASKET"] == nil || len(apps) != 1 {
		t.Errorf("everything is %v", apps)
	}
	one, err := conn.GetInstance("BASKET", "b7:basket:9301")
	must(t, "read the instance", err)
	if one.HostName != "b7" || one.Status != fargo.UP {
		t.Errorf("the instance is %+v", one)
	}

	for vip, secure := range map[string]bool{"basket": false, "basket-tls": true} {
		found, err := conn.GetInstancesByVIPAddress(vip, secure, fargo.ThatAreUp)
		must(t, "discover by "+vip, err)
		if !slices.ContainsFunc(found, func(i *fargo.Instance) bool { return i.HostName == "b7" }) {
			t.Errorf("%s leads to %v", vip, found)
		}
	}

	must(t, "add metadata", conn.AddMetadataString(ins, "zone", "z_1"))
	must(t, "drain", conn.UpdateInstanceStatus(ins, fargo.OUTOFSERVICE))
	must(t, "renew", conn.HeartBeatInstance(ins))
	one, err = conn.GetInstance("BASKET", "b7:basket:9301")
	must(t, "read the instance", err)
	if v, err := one.Metadata.GetString("zone"); one.Status != fargo.OUTOFSERVICE || err != nil || v != "z_1" {
		t.Errorf("the drained instance is %s, zone %q: %v", one.Status, v, err)
	}
	found, err := conn.GetInstancesByVIPAddress("basket", false, fargo.ThatAreUp)
	must(t, "discover", err)
	if len(found) != 0 {
		t.Errorf("a drained instance is found: %v", found)
	}

	must(t, "deregister", conn.DeregisterInstance(ins))
	if _, err := conn.GetApp("BASKET"); err == nil {
		t.Error("the application is still there")
	}
	if err := conn.HeartBeatInstance(ins); err == nil {
		t.Error("a renewal after the end succeeds")
	}
}

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/upstream"
)

// interopCases are the cases of gRPC's interoperability client that need no
// account of a cloud (docs/interop-test-descriptions.md of github.com/grpc/grpc).
// pick_first_unary is not among them: it wants several servers that say who they
// are, and the suite's own server does not.
func interopCases() []string {
	return []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
		"status_code_and_message", "special_status_message", "custom_metadata",
		"unimplemented_method", "unimplemented_service",
		"rpc_soak", "channel_soak", "orca_per_rpc", "orca_oob",
	}
}

// TestGRPCInterop runs gRPC's interoperability client against its server, and
// then through the gateway: every case that passes without maru must pass with it.
func TestGRPCInterop(t *testing.T) {
	bin := buildInterop(t)
	server := startInterop(t, filepath.Join(bin, "server"))
	service := upstream.Config{URL: "http://" + server, HTTP: upstream.HTTP2C}
	plain := edgetest.Start(t, interopConfig(t, service, edge.ListenerConfig{H2C: true}))
	tlsConfig, caFile := testTLS(t)
	secure := edgetest.Start(t, interopConfig(t, service, edge.ListenerConfig{TLS: tlsConfig}))
	ways := []struct {
		name, addr string
		args       []string
	}{
		{"h2c to 2c", plain.Addr("public"), nil},
		{"tls to 2c", secure.Addr("public"), []string{"--use_tls", "--use_test_ca", "--server_host_override=maru.test", "--ca_file=" + caFile}},
	}
	for _, name := range interopCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some cases mostly sleep
			if out, err := interop(t, bin, server, name); err != nil {
				t.Fatalf("fails without maru too: %v\n%s", err, out)
			}
			for _, way := range ways {
				if out, err := interop(t, bin, way.addr, name, way.args...); err != nil {
					t.Errorf("%s: %v\n%s", way.name, err, out)
				}
			}
		})
	}
}

// interopConfig routes everything to the suite's server.
func interopConfig(t *testing.T, service upstream.Config, listener edge.ListenerConfig) edge.Config {
	t.Helper()
	cfg := edgetest.Config(t, service.URL, listener)
	cfg.Services["service"] = edge.ServiceConfig{Config: service}
	return cfg
}

// buildInterop builds the suite's client and server at the version of go.mod.
func buildInterop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const path = "google.golang.org/grpc/interop/"
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), path+"client", path+"server")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	return dir
}

// startInterop starts the suite's server and gives its address.
func startInterop(t *testing.T, bin string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(ctx, bin, "--port="+port)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("the suite's server does not come up: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // another process: nothing else tells
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// interop runs one case of the client.
func interop(t *testing.T, bin, addr, name string, args ...string) (string, error) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	args = append(args, "--server_host="+host, "--server_port="+port, "--test_case="+name,
		"--soak_iterations=50", "--soak_overall_timeout_seconds=30")
	if strings.HasPrefix(name, "orca") {
		args = append(args, `--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "client"), args...)
	cmd.Env = append(os.Environ(), "GRPC_GO_LOG_SEVERITY_LEVEL=error")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w", name, err)
	}
	return out.String(), nil
}

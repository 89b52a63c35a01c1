package memnet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
)

func pair(t *testing.T) (client, server *memnet.Conn) {
	t.Helper()
	client, server = memnet.Pipe()
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

func TestDialAccept(t *testing.T) {
	l := memnet.Listen("a:1")
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		b, _ := io.ReadAll(c)
		_, _ = c.Write([]byte("pong"))
		_ = c.Close()
		got <- string(b)
	}()
	c, err := l.DialContext(t.Context(), "tcp", "a:1")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("ping"))
	_ = c.(*memnet.Conn).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "pong" {
		t.Fatalf("after half-close read %q, %v", b, err)
	}
	if s := <-got; s != "ping" {
		t.Fatalf("server read %q", s)
	}
	_ = l.Close()
	if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial of a closed listener: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("accept of a closed listener: %v", err)
	}
}

func TestCloseWithUnreadBytesResets(t *testing.T) {
	c, s := pair(t)
	_, _ = c.Write([]byte("unread"))
	_ = s.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read after a reset: %v", err)
	}
}

func TestAbruptClose(t *testing.T) {
	c, s := pair(t)
	_ = c.SetLinger(0)
	_ = c.Close()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read after an abrupt close: %v", err)
	}
}

func TestWriteToClosedPeer(t *testing.T) {
	c, s := pair(t)
	_ = s.Close()
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("write to a closed peer: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("read of a closed peer: %v", err)
	}
}

func TestPeek(t *testing.T) {
	c, s := pair(t)
	if n, err := c.Peek(); n != 0 || err != nil {
		t.Fatalf("quiet: %d %v", n, err)
	}
	_, _ = s.Write([]byte("ab"))
	_ = s.CloseWrite()
	if n, err := c.Peek(); n != 2 || err != nil {
		t.Fatalf("two bytes: %d %v", n, err)
	}
	_, _ = c.Read(make([]byte, 2))
	if n, err := c.Peek(); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("ended: %d %v", n, err)
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t)
		began := time.Now()
		_ = c.SetReadDeadline(began.Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		if d := time.Since(began); d != time.Second {
			t.Fatalf("read waited %v", d)
		}
		_ = c.SetDeadline(time.Now().Add(time.Second))
		n, err := c.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != 64<<10 {
			t.Fatalf("write into a full window: %d %v", n, err)
		}
		_ = c.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			_ = c.SetReadDeadline(time.Now().Add(-1))
		}()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read woken by a passed deadline: %v", err)
		}
	})
}

package systemd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// answer makes a message as systemd sends it.
func answer(kind byte, fields func(e *encoder), body func(e *encoder)) []byte {
	b := &encoder{}
	body(b)
	e := &encoder{data: []byte{littleEndian, kind, 0, version}}
	e.uint32(uint32(len(b.data)))
	e.uint32(9)
	e.array(8, func() { fields(e) })
	e.align(8)
	return append(e.data, b.data...)
}

func jobRemoved(job, result string) []byte {
	return answer(4, func(e *encoder) {
		e.field(fieldMember, "s", func() { e.text("JobRemoved") })
	}, func(e *encoder) {
		e.uint32(7)
		e.text(job)
		e.text("x.scope")
		e.text(result)
	})
}

func reply(job string) []byte {
	return answer(2, func(e *encoder) {
		e.field(fieldReply, "u", func() { e.uint32(1) })
		e.field(fieldSignature, "g", func() { e.signature("o") })
	}, func(e *encoder) { e.text(job) })
}

func refusal(name, text string) []byte {
	return answer(kindError, func(e *encoder) {
		e.field(fieldError, "s", func() { e.text(name) })
		e.field(fieldReply, "u", func() { e.uint32(1) })
	}, func(e *encoder) { e.text(text) })
}

// serve stands in for systemd: it answers one call and keeps the connection.
func serve(t *testing.T, answers ...[]byte) (*Manager, <-chan *message) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "private")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	calls := make(chan *message, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
		in := bufio.NewReader(c)
		if line, _ := in.ReadString('\n'); !strings.HasPrefix(line, "\x00AUTH EXTERNAL ") {
			t.Errorf("introduction %q", line)
		}
		fmt.Fprint(c, "OK 0123\r\n")
		if line, _ := in.ReadString('\n'); line != "BEGIN\r\n" {
			t.Errorf("beginning %q", line)
		}
		call, err := readMessage(in)
		if err != nil {
			t.Error(err)
		}
		calls <- call
		c.Write(bytes.Join(answers, nil))
	}()
	return &Manager{path: path}, calls
}

func TestStartScope(t *testing.T) {
	m, calls := serve(t, jobRemoved("/job/7", "done"), reply("/job/8"), jobRemoved("/job/7", "failed"), jobRemoved("/job/8", "done"))
	if err := m.StartScope(t.Context(), Scope{Name: "a.scope", Slice: "b.slice", PID: 5}); err != nil {
		t.Fatal(err)
	}
	call := <-calls
	if name, err := call.body.text(); call.member != "StartTransientUnit" || name != "a.scope" || err != nil {
		t.Errorf("call of %s with %q, %v", call.member, name, err)
	}
}

func TestFailures(t *testing.T) {
	tests := map[string]struct {
		answers [][]byte
		want    string
	}{
		"refused":    {[][]byte{refusal("org.freedesktop.systemd1.UnitExists", "it exists")}, "start a.scope in b.slice: it exists (org.freedesktop.systemd1.UnitExists)"},
		"job failed": {[][]byte{reply("/job/8"), jobRemoved("/job/8", "failed")}, `"failed"`},
		"nonsense":   {[][]byte{[]byte("B23456789012345678")}, "malformed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, _ := serve(t, test.answers...)
			err := m.StartScope(t.Context(), Scope{Name: "a.scope", Slice: "b.slice", PID: 5})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		m, calls := serve(t, reply("/job/8"))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-calls
			cancel()
		}()
		if err := m.Stop(ctx, "a.scope"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("unknown unit", func(t *testing.T) {
		m, _ := serve(t, refusal("org.freedesktop.systemd1.NoSuchUnit", "not loaded"))
		if err := m.Stop(t.Context(), "a.scope"); err != nil {
			t.Error(err)
		}
	})
}

// TestSystemd needs systemd as the machine's first process: hack/vm.sh -i systemd ./internal/cri/systemd.
func TestSystemd(t *testing.T) {
	m, err := Open()
	if err != nil {
		t.Skip("NOT TESTED on this machine: ", err)
	}
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill() })
	slice := fmt.Sprintf("mayflytest%d.slice", os.Getpid())
	scope := Scope{Name: fmt.Sprintf("mayflytest-%d.scope", os.Getpid()), Slice: slice, Description: "a test", PID: sleep.Process.Pid}
	if err := m.StartScope(t.Context(), scope); err != nil {
		t.Fatal(err)
	}
	where, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", sleep.Process.Pid))
	if want := "/" + slice + "/" + scope.Name; err != nil || !strings.Contains(string(where), want) {
		t.Errorf("its cgroup is %q, %v; want %s", where, err, want)
	}
	if err := m.StartScope(t.Context(), scope); err == nil || !strings.Contains(err.Error(), scope.Name) {
		t.Errorf("the same again: %v", err)
	}
	for range 2 {
		if err := m.Stop(t.Context(), slice); err != nil {
			t.Error(err)
		}
	}
	if err := sleep.Wait(); err == nil {
		t.Error("it ended by itself")
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(reply("/job/8"))
	f.Add(jobRemoved("/job/8", "done"))
	f.Add(refusal("a.b", "c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readMessage(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _, _ = m.jobRemoved()
		_, _ = m.body.text()
	})
}

package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

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

package cri

import (
	"strings"
	"testing"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestTracedPod enters a Pod in which nobody may trace, and then one may: a process that enters has memory of its own from then on.
func TestTracedPod(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("traced")
	app := f.run(pod, config, "app")
	// It lives in the namespace of the application, with rights of its own.
	beside := func(name string, capabilities ...string) string {
		return f.run(pod, config, name, func(c *runtimev1.ContainerConfig) {
			c.Linux.SecurityContext.NamespaceOptions = &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_TARGET, TargetId: app}
			c.Linux.SecurityContext.Capabilities = &runtimev1.Capability{AddCapabilities: capabilities}
		})
	}
	forks := func(id string) bool {
		t.Helper()
		c, err := f.server.containers.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.server.containers.Program(c)
		if err != nil {
			t.Fatal(err)
		}
		born, forked := strings.Contains(text, " pids="), strings.Contains(text, " fork(")
		if born == forked {
			t.Fatalf("born there %t, forked %t:\n%s", born, forked, text)
		}
		return forked
	}
	plain := beside("plain")
	if forks(plain) {
		t.Error("forked, and nobody can trace")
	}
	f.exec(app, "true")
	tracer := beside("tracer", "SYS_PTRACE")
	if !forks(plain) {
		t.Error("not forked beside one who can trace")
	}
	for _, id := range []string{app, plain, tracer, beside("later")} {
		if got := f.exec(id, "readlink", "/proc/self/ns/pid"); got != f.exec(app, "readlink", "/proc/self/ns/pid") {
			t.Errorf("container %s is in another PID namespace", id)
		}
	}
}

package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCgroups: a Pod's cgroup is limited before its sandbox is there, and resized around its containers: never to less
// than one of them has.
func TestCgroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi"))
		w.wait(time.Minute)
		mine := func() (out []string) {
			for _, l := range w.rt.limited() {
				if l, ok := strings.CutPrefix(l, "/mf/kubepods/podu1 "); ok {
					out = append(out, l)
				}
			}
			return out
		}
		want := []string{"cpu 1024/100000 memory 67108864"}
		if diff := cmp.Diff(want, mine()); diff != "" {
			t.Errorf("at the start (-want +got):\n%s", diff)
		}
		w.resize("500m", "128Mi")
		want = append(want, "cpu 1024/100000 memory 134217728", "cpu 512/50000 memory 134217728")
		if diff := cmp.Diff(want, mine()); diff != "" {
			t.Errorf("resized (-want +got):\n%s", diff)
		}
		classes := w.rt.limited()
		for _, class := range []string{"/mf/kubepods/burstable cpu 2/0 memory 0", "/mf/kubepods/besteffort cpu 2/0 memory 0"} {
			if !slices.Contains(classes, class) {
				t.Errorf("no %q in %q", class, classes)
			}
		}
	})
}

// TestCgroupRefused: no sandbox without its limits.
func TestCgroupRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.rt.mu.Lock()
		w.rt.refuse["limit"] = errors.New("no room")
		w.rt.mu.Unlock()
		w.create(sized("1", "64Mi"))
		w.wantEvent("FailedCreatePodSandBox Failed to create pod sandbox: limit the pod's cgroup: no room")
		w.wantLog()
	})
}

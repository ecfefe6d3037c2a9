package probe

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// patient is a container whose health the test sets.
type patient struct {
	mu     sync.Mutex
	health map[string]bool
	err    error
	probed map[string]int
}

func (p *patient) check(_ context.Context, _ Target, probe *corev1.Probe) (bool, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := probe.Exec.Command[0]
	p.probed[name]++
	return p.health[name], "", p.err
}

func (p *patient) set(name string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health[name] = ok
}

func probe(name string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{name}}}, PeriodSeconds: period, TimeoutSeconds: 1, FailureThreshold: failures, SuccessThreshold: 1}
}

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{health: map[string]bool{}, probed: map[string]int{}}
		var changes atomic.Int32
		c := &corev1.Container{StartupProbe: probe("startup", 1, 5), LivenessProbe: probe("live", 10, 3), ReadinessProbe: probe("ready", 5, 1)}
		g := NewGroup(Target{Container: c, StartedAt: time.Now()}, p.check, func() { changes.Add(1) }, func(Kind, string, error) {})
		done := make(chan struct{})
		go func() { defer close(done); g.Run(t.Context()) }()
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if g.Started() || g.Ready() || p.probed["live"]+p.probed["ready"] != 0 {
			t.Errorf("before the start-up: %v", p.probed)
		}
		p.set("startup", true)
		p.set("ready", true)
		p.set("live", true)
		time.Sleep(time.Second)
		synctest.Wait()
		if !g.Started() || !g.Ready() || changes.Load() != 2 {
			t.Errorf("after it: started %v, ready %v, %d changes", g.Started(), g.Ready(), changes.Load())
		}
		p.set("ready", false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if g.Ready() || g.Failed() != "" {
			t.Error("an unready container is not unready, or is to be restarted")
		}
		p.set("live", false)
		<-done
		if g.Failed() != Liveness {
			t.Errorf("failed: %q", g.Failed())
		}
		if count := p.probed["startup"]; count != 5 {
			t.Errorf("startup was probed %d times", count)
		}
	})
}

func TestStartupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{health: map[string]bool{}, probed: map[string]int{}}
		g := NewGroup(Target{Container: &corev1.Container{StartupProbe: probe("startup", 1, 3), LivenessProbe: probe("live", 1, 1)}, StartedAt: time.Now()}, p.check, func() {}, func(Kind, string, error) {})
		g.Run(t.Context())
		if g.Failed() != Startup || p.probed["startup"] != 3 || p.probed["live"] != 0 {
			t.Errorf("failed %q after %v", g.Failed(), p.probed)
		}
	})
}

func TestErrorsCountAsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{health: map[string]bool{}, probed: map[string]int{}, err: errors.New("cannot exec")}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g := NewGroup(Target{Container: &corev1.Container{LivenessProbe: probe("live", 1, 1)}, StartedAt: time.Now()}, p.check, func() {}, func(Kind, string, error) {})
		g.Run(ctx)
		if g.Failed() != "" {
			t.Error("an error was taken for a failure")
		}
	})
}

func TestInitialDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{health: map[string]bool{"live": true}, probed: map[string]int{}}
		live := probe("live", 10, 1)
		live.InitialDelaySeconds = 30
		ctx, cancel := context.WithTimeout(t.Context(), 41*time.Second)
		defer cancel()
		NewGroup(Target{Container: &corev1.Container{LivenessProbe: live}, StartedAt: time.Now()}, p.check, func() {}, func(Kind, string, error) {}).Run(ctx)
		if p.probed["live"] != 2 {
			t.Errorf("probed %d times in 41 s", p.probed["live"])
		}
	})
}

func TestPort(t *testing.T) {
	c := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	for name, want := range map[string]int{"http": 8080, "81": 81, "none": 0} {
		if got, err := Port(c, intstr.Parse(name)); got != want || (err != nil) != (want == 0) {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

// TestRedirect: a redirect to the same host is followed, one to another is a success with a warning.
func TestRedirect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	at, err := netip.ParseAddrPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	check := NewCheck(nil)
	for to, c := range map[string]struct {
		ok   bool
		want error
	}{"/": {false, nil}, "http://203.0.113.1/": {true, ErrRedirected}} {
		p := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Host: at.Addr().String(), Port: intstr.FromInt32(int32(at.Port())), Path: "/?to=" + url.QueryEscape(to),
		}}}
		if ok, output, err := check(t.Context(), Target{Container: &corev1.Container{}}, p); ok != c.ok || !errors.Is(err, c.want) {
			t.Errorf("%s: %v %q %v", to, ok, output, err)
		}
	}
}

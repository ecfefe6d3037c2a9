package lifecycle

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorder notes starts and stops in the order in which they happen.
type recorder struct {
	mu  sync.Mutex
	log []string
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, s)
}

func (r *recorder) component(name string, fail error) Component {
	ready := make(chan struct{})
	return Component{Name: name, Ready: ready, Run: func(ctx context.Context) error {
		r.add("start " + name)
		if fail != nil {
			return fail
		}
		close(ready)
		<-ctx.Done()
		r.add("stop " + name)
		return nil
	}}
}

func TestStagesStartInOrderAndStopInReverse(t *testing.T) {
	var r recorder
	ctx, cancel := context.WithCancel(context.Background())
	stages := []Stage{{r.component("store", nil)}, {r.component("agent", nil)}}
	if err := Run(ctx, stages, func() { r.add("ready"); cancel() }); err != nil {
		t.Fatal(err)
	}
	want := []string{"start store", "start agent", "ready", "stop agent", "stop store"}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Error(diff)
	}
}

func TestAFailedComponentStopsTheRest(t *testing.T) {
	var r recorder
	broken := errors.New("no such device")
	stages := []Stage{{r.component("store", nil)}, {r.component("agent", broken)}, {r.component("never", nil)}}
	err := Run(context.Background(), stages, func() { t.Error("ready although a component failed") })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "agent") {
		t.Errorf("error %v does not name the component and its reason", err)
	}
	want := []string{"start store", "start agent", "stop store"}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Error(diff)
	}
}

func TestAComponentThatEndsByItselfIsAnError(t *testing.T) {
	stage := Stage{{Name: "quitter", Run: func(context.Context) error { return nil }}}
	if err := Run(context.Background(), []Stage{stage}, func() {}); err == nil || !strings.Contains(err.Error(), "quitter") {
		t.Errorf("error %v does not name the component that ended", err)
	}
}

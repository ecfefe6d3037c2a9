package node

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// asks is a Pod of its own name that requests an amount of memory.
func asks(name, memory string, change ...func(*corev1.Pod)) *corev1.Pod {
	return simplePod(append(change, func(p *corev1.Pod) {
		p.Name, p.UID = name, types.UID(name)
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	})...)
}

// wantRejected wants the named Pod failed for the reason, and without anything of it on the node; "" wants it running.
func (w *world) wantRejected(name, reason, message string) {
	w.Helper()
	p, err := w.api.CoreV1().Pods("default").Get(w.ctx, name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	s := p.Status
	if reason == "" {
		if s.Phase != corev1.PodRunning {
			w.Errorf("%s is %s: %s %s", name, s.Phase, s.Reason, s.Message)
		}
		return
	}
	if s.Phase != corev1.PodFailed || s.Reason != reason || !strings.HasPrefix(s.Message, "Pod was rejected: "+message) || len(s.ContainerStatuses) > 0 || s.StartTime == nil {
		w.Errorf("%s: %+v", name, s)
	}
}

func TestRejectedPods(t *testing.T) {
	windows := func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, p := range []*corev1.Pod{asks("windows", "1Mi", windows), asks("huge", "5Gi"), asks("one", "3Gi"), asks("two", "2Gi")} {
			w.create(p)
		}
		w.wait(time.Second)
		for range 2 { // and a new agent leaves it at that
			w.wantRejected("windows", "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
			w.wantRejected("huge", "OutOfmemory", "Node didn't have enough resource: memory, requested: 5368709120, used: 0, capacity: 4294967296")
			w.wantRejected("one", "", "")
			w.wantRejected("two", "OutOfmemory", "Node didn't have enough resource: memory, requested: 2147483648, used: 3221225472, capacity: 4294967296")
			w.stop()
			w.start()
			w.wait(time.Minute)
		}
		w.wantLog("run one", "create app 0", "start app")
		w.wantEvent("OutOfmemory Node didn't have enough resource")
		if err := w.api.CoreV1().Pods("default").Delete(w.ctx, "one", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.create(asks("three", "2Gi"))
		w.wait(time.Second)
		w.wantRejected("three", "", "")
	})
}

// TestPodsOverPlaces: no more Pods than the node has places for, and none is sent away that has one already.
func TestPodsOverPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 10 {
			w.create(asks(string(rune('a'+i)), "1Mi"))
		}
		w.create(asks("late", "1Mi"))
		w.wait(time.Second)
		w.wantRejected("late", "OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 10, capacity: 10")
		w.stop()
		w.start()
		w.wait(time.Minute)
		for i := range 10 {
			w.wantRejected(string(rune('a'+i)), "", "")
		}
	})
}

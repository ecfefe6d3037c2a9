package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

// files is a directory of static Pods.
type files struct {
	mu      sync.Mutex
	pods    map[types.NamespacedName]*corev1.Pod
	changed func()
}

func (f *files) Read(context.Context) (map[types.NamespacedName]*corev1.Pod, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pods, nil
}

func (f *files) Watch(ctx context.Context, changed func()) error {
	f.mu.Lock()
	f.changed = changed
	f.mu.Unlock()
	<-ctx.Done()
	return nil
}

// set makes the Pods the directory's.
func (f *files) set(pods ...*corev1.Pod) {
	f.mu.Lock()
	f.pods = map[types.NamespacedName]*corev1.Pod{}
	for _, p := range pods {
		f.pods[nameOf(p)] = p
	}
	changed := f.changed
	f.mu.Unlock()
	if changed != nil {
		changed()
	}
	synctest.Wait()
}

func staticPod(uid string) *corev1.Pod {
	return simplePod(func(p *corev1.Pod) {
		p.UID = types.UID(uid)
		p.Annotations = map[string]string{"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": uid}
	})
}

// newStaticWorld is newWorld with a directory, which holds the Pods.
func newStaticWorld(t *testing.T, pods ...*corev1.Pod) (*world, *files) {
	w, f := newWorld(t), &files{}
	w.stop()
	made := 0
	w.api.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		made++
		object := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		object.UID = types.UID(fmt.Sprint("mirror-", made))
		object.ResourceVersion = fmt.Sprint(1000 * made)
		return false, nil, nil
	})
	f.set(pods...)
	w.files = f
	w.start()
	w.wait(2 * time.Second)
	return w, f
}

// wantMirror wants the API to show a running Pod of that UID.
func (w *world) wantMirror(uid, mirror string) {
	w.Helper()
	w.wait(2 * time.Second)
	p := w.get()
	if p.Annotations[corev1.MirrorPodAnnotationKey] != uid || p.UID != types.UID(mirror) || p.Status.Phase != corev1.PodRunning {
		w.Errorf("mirror %s of %s, phase %s; want %s of %s, running", p.UID, p.Annotations[corev1.MirrorPodAnnotationKey], p.Status.Phase, mirror, uid)
	}
}

func TestStaticPodOutlivesItsMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newStaticWorld(t, staticPod("h1"))
		w.wantMirror("h1", "mirror-1")
		if owner := metav1.GetControllerOf(w.get()); owner == nil || owner.Kind != "Node" || owner.Name != "n1" {
			t.Errorf("owner %v", owner)
		}
		started := w.rt.find("app")
		if err := w.api.CoreV1().Pods("default").Delete(w.ctx, "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.wantMirror("h1", "mirror-2")

		// A deletion with grace is not waited for.
		w.update(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
		w.wantMirror("h1", "mirror-3")

		// Neither an agent that comes back nor one that has none of it disturbs it.
		w.stop()
		w.start()
		w.wantMirror("h1", "mirror-3")
		if again := w.rt.find("app"); again.GetId() != started.GetId() {
			t.Errorf("container %s became %s", started.GetId(), again.GetId())
		}
	})
}

func TestStaticPodFollowsItsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f := newStaticWorld(t)
		f.set(staticPod("h1"))
		w.wantMirror("h1", "mirror-1")
		w.rt.mu.Lock()
		w.rt.ignoreStop = true
		w.rt.mu.Unlock()
		f.set(staticPod("h2"))
		w.wait(20 * time.Second)
		w.rt.mu.Lock()
		n := len(w.rt.sandboxLog)
		w.rt.mu.Unlock()
		if n != 1 {
			t.Errorf("%d sandboxes while the former Pod has its grace", n)
		}
		w.wait(15 * time.Second)
		w.wantMirror("h2", "mirror-2")

		f.set()
		w.wait(35 * time.Second)
		if pods, err := w.api.CoreV1().Pods("default").List(w.ctx, metav1.ListOptions{}); err != nil || len(pods.Items) != 0 {
			t.Errorf("left: %v, %v", pods.Items, err)
		}
		if n := len(w.rt.sandboxes); n != 0 {
			t.Errorf("%d sandboxes left", n)
		}
	})
}

// TestMirrorWithoutPod: nobody makes a node run a Pod by making a mirror.
func TestMirrorWithoutPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(simplePod(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "u1"} }))
		w.wait(time.Second)
		if pods, err := w.api.CoreV1().Pods("default").List(w.ctx, metav1.ListOptions{}); err != nil || len(pods.Items) != 0 {
			t.Errorf("left: %v, %v", pods.Items, err)
		}
		w.wantLog()
	})
}

// TestMirrorIsRefused: a static Pod does not depend on the API's consent, and is shown once it is given.
func TestMirrorIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f := newStaticWorld(t)
		var refuse atomic.Bool
		refuse.Store(true)
		w.api.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return refuse.Load(), nil, errors.New("no")
		})
		f.set(staticPod("h1"))
		w.wait(time.Minute)
		w.wantLog("run p", "create app 0", "start app")
		refuse.Store(false)
		w.wait(mirrorRetry)
		w.wantMirror("h1", "mirror-1")
	})
}

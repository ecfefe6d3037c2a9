package deployment

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"

	"github.com/mayfly-run/mayfly/internal/controller/replicaset"
	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func testDeployment(n int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	labels := map[string]string{"app": "a"}
	quarter := intstr.FromString("25%")
	deadline, history := int32(600), int32(10)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "web-uid", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
			ProgressDeadlineSeconds: &deadline, RevisionHistoryLimit: &history,
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &quarter, MaxUnavailable: &quarter},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "one"}}}},
		},
	}
	for _, c := range change {
		c(d)
	}
	return d
}

// world is a Deployment controller, a ReplicaSet controller and, in the place of a node, the test itself.
type world struct {
	*trial.Trial
	t *testing.T
}

func start(t *testing.T, objects ...runtime.Object) *world {
	t.Helper()
	tr := trial.New(t, objects...)
	apps, pods := tr.Informers.Apps().V1(), tr.Informers.Core().V1().Pods()
	d, err := New(Config{Client: tr.Client, Recorder: tr.Events, Deployments: apps.Deployments(), ReplicaSets: apps.ReplicaSets(), Pods: pods})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := replicaset.New(replicaset.Config{Client: tr.Client, Recorder: tr.Events, ReplicaSets: apps.ReplicaSets(), Pods: pods})
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, d.Run)
	tr.Run(t, rs.Run)
	return &world{tr, t}
}

func (w *world) deployment() *appsv1.Deployment {
	w.t.Helper()
	d, err := w.Client.AppsV1().Deployments("default").Get(w.t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) update(change func(*appsv1.Deployment)) {
	w.t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		d := w.deployment()
		change(d)
		d.Generation++
		_, err := w.Client.AppsV1().Deployments("default").Update(w.t.Context(), d, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) pods() []corev1.Pod {
	w.t.Helper()
	list, err := w.Client.CoreV1().Pods("default").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// sets answers the size of the ReplicaSet of each image.
func (w *world) sets() map[string]int32 {
	w.t.Helper()
	list, err := w.Client.AppsV1().ReplicaSets("default").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	sizes := map[string]int32{}
	for i := range list.Items {
		sizes[list.Items[i].Spec.Template.Spec.Containers[0].Image] = replicas(&list.Items[i])
	}
	return sizes
}

// serve makes the Pods ready that are not.
func (w *world) serve() {
	w.t.Helper()
	for _, p := range w.pods() {
		if len(p.Status.Conditions) > 0 {
			continue
		}
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		// One that was deleted in between needs none of it.
		_, _ = w.Client.CoreV1().Pods("default").UpdateStatus(w.t.Context(), &p, metav1.UpdateOptions{})
	}
}

func (w *world) eventuallyComplete() {
	w.t.Helper()
	trial.Eventually(w.t, "rollout completes", func() bool {
		w.serve()
		d := w.deployment()
		c := condition(&d.Status, appsv1.DeploymentProgressing)
		return isComplete(d, &d.Status) && c != nil && c.Reason == reasonAvailable
	})
}

func image(name string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = name }
}

func TestRollsOutAndBack(t *testing.T) {
	w := start(t, testDeployment(4))
	w.eventuallyComplete()
	if got := w.deployment().Annotations[revisionAnnotation]; got != "1" {
		t.Errorf("revision = %q, want 1", got)
	}
	w.update(image("two"))
	w.eventuallyComplete()
	if got := w.sets(); got["one"] != 0 || got["two"] != 4 {
		t.Errorf("sets = %v", got)
	}
	// What `kubectl rollout undo` does.
	w.update(image("one"))
	w.eventuallyComplete()
	if got := w.sets(); got["one"] != 4 || got["two"] != 0 || len(got) != 2 {
		t.Errorf("sets = %v", got)
	}
	trial.Eventually(t, "undone template is revision 3", func() bool { return w.deployment().Annotations[revisionAnnotation] == "3" })
	if !w.Events.Has("ScalingReplicaSet Scaled up replica set web-") || !w.Events.Has("ScalingReplicaSet Scaled down replica set web-") {
		t.Error("events are missing")
	}
}

func TestKeepsWithinTheFenceposts(t *testing.T) {
	w := start(t, testDeployment(4))
	w.eventuallyComplete()
	w.update(image("two"))
	trial.Eventually(t, "one more and one less", func() bool { s := w.sets(); return s["one"] == 3 && s["two"] == 2 })
	if n := len(w.pods()); n > 5 {
		t.Errorf("%d pods, want at most 5", n)
	}
	w.eventuallyComplete()
}

func TestRecreateEndsAllFirst(t *testing.T) {
	w := start(t, testDeployment(2, func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}))
	w.eventuallyComplete()
	w.update(image("two"))
	w.eventuallyComplete()
	if got := w.sets(); got["one"] != 0 || got["two"] != 2 {
		t.Errorf("sets = %v", got)
	}
}

func TestPauseHoldsTheTemplateBackButNotTheScale(t *testing.T) {
	w := start(t, testDeployment(1))
	w.eventuallyComplete()
	w.update(func(d *appsv1.Deployment) { d.Spec.Paused = true; image("two")(d); *d.Spec.Replicas = 3 })
	trial.Eventually(t, "old template is scaled", func() bool { s := w.sets(); return s["one"] == 3 && len(s) == 1 })
	trial.Eventually(t, "condition says paused", func() bool {
		d := w.deployment()
		c := condition(&d.Status, appsv1.DeploymentProgressing)
		return c != nil && c.Reason == reasonPaused
	})
	w.update(func(d *appsv1.Deployment) { d.Spec.Paused = false })
	w.eventuallyComplete()
	if got := w.sets(); got["two"] != 3 {
		t.Errorf("sets = %v", got)
	}
}

func TestScalesInProportion(t *testing.T) {
	w := start(t, testDeployment(4))
	w.eventuallyComplete()
	w.update(image("two"))
	trial.Eventually(t, "stuck half-way", func() bool { s := w.sets(); return s["one"] == 3 && s["two"] == 2 })
	w.update(func(d *appsv1.Deployment) { *d.Spec.Replicas = 8 })
	trial.Eventually(t, "both grow", func() bool { s := w.sets(); return s["one"] == 6 && s["two"] == 4 })
	w.eventuallyComplete()
}

func TestForgetsHistory(t *testing.T) {
	one := int32(1)
	w := start(t, testDeployment(1, func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = &one }))
	for _, name := range []string{"two", "three", "four"} {
		w.eventuallyComplete()
		w.update(image(name))
	}
	w.eventuallyComplete()
	trial.Eventually(t, "one old set is left", func() bool { return len(w.sets()) == 2 })
}

func TestTellsOfDeadline(t *testing.T) {
	second := int32(1)
	w := start(t, testDeployment(1, func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = &second }))
	trial.Eventually(t, "deadline is exceeded", func() bool {
		d := w.deployment()
		c := condition(&d.Status, appsv1.DeploymentProgressing)
		return c != nil && c.Reason == reasonTimedOut && c.Status == corev1.ConditionFalse
	})
	w.eventuallyComplete()
}

func TestFenceposts(t *testing.T) {
	for name, test := range map[string]struct {
		n                          int32
		surge, unavailable         intstr.IntOrString
		wantSurge, wantUnavailable int32
	}{
		"percent":         {10, intstr.FromString("25%"), intstr.FromString("25%"), 3, 2},
		"small":           {1, intstr.FromString("25%"), intstr.FromString("25%"), 1, 0},
		"both zero":       {3, intstr.FromInt32(0), intstr.FromString("10%"), 0, 1},
		"no more than is": {2, intstr.FromInt32(0), intstr.FromInt32(5), 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := testDeployment(test.n)
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &test.surge, MaxUnavailable: &test.unavailable}
			surge, unavailable := fenceposts(d)
			if surge != test.wantSurge || unavailable != test.wantUnavailable {
				t.Errorf("fenceposts = %d, %d, want %d, %d", surge, unavailable, test.wantSurge, test.wantUnavailable)
			}
		})
	}
}

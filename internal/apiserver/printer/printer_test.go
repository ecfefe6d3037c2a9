package printer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// moment is when the tests happen.
func moment() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) metav1.Time { return metav1.Time{Time: moment().Add(-d)} }

func table(t *testing.T, o, options runtime.Object) *metav1.Table {
	t.Helper()
	c := New(schema.GroupResource{Resource: "things"}).(*convertor)
	c.now = moment
	got, err := c.ConvertToTable(t.Context(), o, options)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPodRow(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	ended := func(reason string, code, signal int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, Signal: signal, FinishedAt: ago(3 * time.Minute)}}
	}
	two := []corev1.Container{{Name: "a"}, {Name: "b"}}
	for name, c := range map[string]struct {
		spec    corev1.PodSpec
		status  corev1.PodStatus
		deleted bool
		want    []any // ready, status, restarts
	}{
		"pending":      {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodPending}, false, []any{"0/2", "Pending", "0"}},
		"evicted":      {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}, false, []any{"0/2", "Evicted", "0"}},
		"gated":        {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: "SchedulingGated"}}}, false, []any{"0/2", "SchedulingGated", "0"}},
		"init first":   {corev1.PodSpec{Containers: two, InitContainers: two[:1]}, corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{{State: waiting("PodInitializing")}}}, false, []any{"0/2", "Init:0/1", "0"}},
		"init crash":   {corev1.PodSpec{Containers: two, InitContainers: two[:1]}, corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{{State: waiting("CrashLoopBackOff"), RestartCount: 2, LastTerminationState: ended("Error", 1, 0)}}}, false, []any{"0/2", "Init:CrashLoopBackOff", "2 (3m ago)"}},
		"init exit":    {corev1.PodSpec{Containers: two, InitContainers: two[:1]}, corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{{State: ended("", 3, 0)}}}, false, []any{"0/2", "Init:ExitCode:3", "0"}},
		"init signal":  {corev1.PodSpec{Containers: two, InitContainers: two[:1]}, corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{{State: ended("", 137, 9)}}}, false, []any{"0/2", "Init:Signal:9", "0"}},
		"init done":    {corev1.PodSpec{Containers: two, InitContainers: two[:1]}, corev1.PodStatus{Phase: corev1.PodRunning, InitContainerStatuses: []corev1.ContainerStatus{{State: ended("Completed", 0, 0), RestartCount: 4}}, ContainerStatuses: []corev1.ContainerStatus{{Ready: true, State: running}, {State: running}}}, false, []any{"1/2", "Running", "0"}},
		"sidecar":      {corev1.PodSpec{Containers: two[:1], InitContainers: []corev1.Container{{Name: "s", RestartPolicy: &always}}}, corev1.PodStatus{Phase: corev1.PodRunning, InitContainerStatuses: []corev1.ContainerStatus{{Name: "s", Started: new(true), Ready: true, RestartCount: 1, State: running}}, ContainerStatuses: []corev1.ContainerStatus{{Ready: true, State: running}}}, false, []any{"2/2", "Running", "1"}},
		"crash loop":   {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{State: waiting("CrashLoopBackOff"), RestartCount: 5, LastTerminationState: ended("Error", 1, 0)}, {Ready: true, State: running}}}, false, []any{"1/2", "CrashLoopBackOff", "5 (3m ago)"}},
		"completed":    {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{State: ended("Completed", 0, 0)}, {State: ended("Completed", 0, 0)}}}, false, []any{"0/2", "Completed", "0"}},
		"half done":    {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{State: ended("Completed", 0, 0)}, {Ready: true, State: running}}}, false, []any{"1/2", "NotReady", "0"}},
		"signal":       {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{State: ended("", 137, 9)}}}, false, []any{"0/2", "Signal:9", "0"}},
		"deleted":      {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodRunning}, true, []any{"0/2", "Terminating", "0"}},
		"deleted over": {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodSucceeded}, true, []any{"0/2", "Succeeded", "0"}},
		"node lost":    {corev1.PodSpec{Containers: two}, corev1.PodStatus{Phase: corev1.PodRunning, Reason: "NodeLost"}, true, []any{"0/2", "Unknown", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", CreationTimestamp: ago(time.Hour)}, Spec: c.spec, Status: c.status}
			if c.deleted {
				pod.DeletionTimestamp = new(ago(time.Second))
			}
			got := table(t, pod, nil)
			want := append(append([]any{"p"}, c.want...), "60m", none, none, none, none)
			if d := cmp.Diff(want, got.Rows[0].Cells); d != "" {
				t.Error(d)
			}
			if len(got.ColumnDefinitions) != len(want) {
				t.Errorf("%d columns for %d cells", len(got.ColumnDefinitions), len(want))
			}
		})
	}
}

func TestRows(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "n", Namespace: "ns", CreationTimestamp: ago(2 * time.Minute)}
	for name, c := range map[string]struct {
		object runtime.Object
		want   []any
	}{
		"namespace": {&corev1.Namespace{ObjectMeta: meta, Status: corev1.NamespaceStatus{Phase: "Active"}}, []any{"n", "Active", "2m"}},
		"configmap": {&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"a": ""}, BinaryData: map[string][]byte{"b": nil}}, []any{"n", int64(2), "2m"}},
		"secret":    {&corev1.Secret{ObjectMeta: meta, Type: "Opaque"}, []any{"n", "Opaque", int64(0), "2m"}},
		"unborn":    {&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, []any{"n", unknown}},
		"node": {&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", CreationTimestamp: ago(49 * time.Hour), Labels: map[string]string{"node-role.kubernetes.io/worker": ""}}, Spec: corev1.NodeSpec{Unschedulable: true},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}, Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1"}}},
			[]any{"n", "Ready,SchedulingDisabled", "worker", "2d1h", "v1", "10.0.0.1", none, unknown, unknown, unknown}},
		"event": {&corev1.Event{ObjectMeta: meta, Type: "Normal", Reason: "Started", Message: " Started container \n", Count: 3, FirstTimestamp: ago(time.Minute), LastTimestamp: ago(5 * time.Second),
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p", FieldPath: "spec.containers{app}"}, Source: corev1.EventSource{Component: "kubelet", Host: "h"}},
			[]any{"5s", "Normal", "Started", "pod/p", "spec.containers{app}", "kubelet, h", "Started container", "60s", int64(3), "n"}},
		"new event": {&corev1.Event{ObjectMeta: meta, EventTime: metav1.MicroTime{Time: moment().Add(-7 * time.Second)}, ReportingController: "c"}, []any{"7s", "", "", "", "", "c", "", "7s", int64(1), "n"}},
		"quota": {&corev1.ResourceQuota{ObjectMeta: meta, Status: corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{"pods": resource.MustParse("4"), "limits.cpu": resource.MustParse("2")}, Used: corev1.ResourceList{"pods": resource.MustParse("1")}}},
			[]any{"n", "pods: 1/4", "limits.cpu: 0/2", "2m"}},
		"deployment": {&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "i"}, {Name: "y", Image: "j"}}}}}, Status: appsv1.DeploymentStatus{ReadyReplicas: 1, UpdatedReplicas: 2, AvailableReplicas: 1}},
			[]any{"n", "1/3", int64(2), int64(1), "2m", "x,y", "i,j", "a=b"}},
		"budget":  {&policyv1.PodDisruptionBudget{ObjectMeta: meta, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromString("50%"))}}, []any{"n", "50%", "N/A", int64(0), "2m"}},
		"role":    {&rbacv1.Role{ObjectMeta: meta}, []any{"n", "2026-11-24T11:58:00Z"}},
		"binding": {&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "u"}, {Kind: "ServiceAccount", Namespace: "s", Name: "a"}}}, []any{"n", "Role/r", "2m", "u", "", "s/a"}},
		"generic": {&corev1.PodTemplate{ObjectMeta: meta}, []any{"n", "2026-11-24T11:58:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := table(t, c.object, nil)
			if d := cmp.Diff(c.want, got.Rows[0].Cells); d != "" {
				t.Error(d)
			}
			if len(got.ColumnDefinitions) != len(c.want) {
				t.Errorf("%d columns for %d cells", len(got.ColumnDefinitions), len(c.want))
			}
		})
	}
}

func TestList(t *testing.T) {
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "c", RemainingItemCount: new(int64(3))}, Items: []corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}},
	}}
	got := table(t, list, &metav1.TableOptions{NoHeaders: true})
	if len(got.Rows) != 2 || got.ColumnDefinitions != nil || got.ResourceVersion != "7" || got.Continue != "c" || *got.RemainingItemCount != 3 {
		t.Errorf("got %+v", got)
	}
	if got.Rows[0].Object.Object.(*corev1.Pod).Name != "a" || len(got.Rows[0].Conditions) != 0 || got.Rows[1].Conditions[0].Reason != "Succeeded" {
		t.Errorf("got rows %+v", got.Rows)
	}
	if empty := table(t, &corev1.PodList{}, nil); empty.Rows == nil || len(empty.ColumnDefinitions) != 9 {
		t.Errorf("empty list: %+v", empty)
	}
}

package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// podCaller has a server with Pods of each sort, and sends to them.
func podCaller(t *testing.T) (caller, *kubernetes.Clientset) {
	t.Helper()
	i := start(t)
	set := clientset(t, i.Admin())
	makeDefaultAccount(t, set, "default")
	hc, err := rest.HTTPClientFor(i.Admin())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*corev1.Pod){
		"plain": func(*corev1.Pod) {},
		"mirror": func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
			p.Spec.NodeName, p.Spec.ServiceAccountName = "nowhere", ""
		},
		"leaving": func(p *corev1.Pod) { p.Finalizers = []string{"example.org/stay"} },
		"gated":   func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.org/gate"}} },
	} {
		p := benchPod(name)
		p.Spec.NodeName = ""
		change(p)
		if _, err := set.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.CoreV1().Pods("default").Delete(t.Context(), "leaving", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return caller{hc, i.URL}, set
}

// TestSubresourcesRefuse has verdicts of subresources that no recorded case has.
func TestSubresourcesRefuse(t *testing.T) {
	c, _ := podCaller(t)
	const strategic, merge, plain = string(types.StrategicMergePatchType), string(types.MergePatchType), runtime.ContentTypeJSON
	const debugger = `{"spec":{"ephemeralContainers":[{"name":"debugger","image":"i"}]}}`
	for name, r := range map[string]struct {
		method, path, ctype, body string
		code                      int
		message                   string
	}{
		"debug a mirror":   {"PATCH", "mirror/ephemeralcontainers", strategic, debugger, 422, "static pods do not support ephemeral containers"},
		"debug a leaver":   {"PATCH", "leaving/ephemeralcontainers", strategic, debugger, 200, ""},
		"debug nobody":     {"PATCH", "absent/ephemeralcontainers", strategic, debugger, 404, `pods "absent" not found`},
		"debug, stale":     {"PATCH", "plain/ephemeralcontainers", strategic, `{"metadata":{"resourceVersion":"1"},` + debugger[1:], 409, "the object has been modified"},
		"debug, other uid": {"PATCH", "plain/ephemeralcontainers", strategic, `{"metadata":{"uid":"x"},` + debugger[1:], 422, "metadata.uid: Invalid value"},
		"resize a mirror":  {"PATCH", "mirror/resize", strategic, `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1"}}}]}}`, 422, "static pods cannot be resized"},
		"resize, one more": {"PATCH", "plain/resize", strategic, `{"spec":{"containers":[{"name":"more","image":"i"}]}}`, 422, "spec.containers: Forbidden"},
		"bind a gated one": {"POST", "gated/binding", plain, `{"metadata":{"name":"gated"},"target":{"name":"n"}}`, 409, "non-empty .spec.schedulingGates"},
		"bind a leaver":    {"POST", "leaving/binding", plain, `{"metadata":{"name":"leaving"},"target":{"name":"n"}}`, 409, "is being deleted, cannot be assigned to a host"},
		"bind, no target":  {"POST", "plain/binding", plain, `{"metadata":{"name":"plain"},"target":{}}`, 422, "target.name: Required value"},
		"bind, other uid":  {"POST", "plain/binding", plain, `{"metadata":{"name":"plain","uid":"x"},"target":{"name":"n"}}`, 409, "Precondition failed"},
		"evict, other uid": {"POST", "plain/eviction", plain, `{"metadata":{"name":"plain"},"deleteOptions":{"preconditions":{"uid":"x"}}}`, 409, "the UID in the precondition (x)"},
		"evict, odd dry":   {"POST", "plain/eviction", plain, `{"metadata":{"name":"plain"},"deleteOptions":{"dryRun":["x"]}}`, 422, "dryRun"},
		"evict, dry twice": {"POST", "plain/eviction?dryRun=All", plain, `{"metadata":{"name":"plain"},"deleteOptions":{"dryRun":["x"]}}`, 500, "Non-matching dry-run options"},
		"evict another":    {"POST", "plain/eviction", plain, `{"metadata":{"name":"other"}}`, 400, "name in URL does not match name in Eviction object"},
		"old kind, new":    {"POST", "", plain, `{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"x"},"ephemeralContainers":[]}`, 400, `no kind "EphemeralContainers" is registered`},
		"old kind as pod":  {"PUT", "plain", plain, `{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"plain"},"ephemeralContainers":[]}`, 400, `no kind "EphemeralContainers" is registered`},
		"old kind, status": {"PUT", "plain/status", plain, `{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"plain"},"ephemeralContainers":[]}`, 400, `no kind "EphemeralContainers" is registered`},
		"old kind, resize": {"PUT", "plain/resize", plain, `{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"plain"},"ephemeralContainers":[]}`, 400, `no kind "EphemeralContainers" is registered`},
		"quality by hand":  {"PATCH", "plain/status", merge, `{"status":{"qosClass":"Burstable"}}`, 422, "status.qosClass"},
		"log of nobody":    {"GET", "plain/log?container=nobody", "", "", 400, "container nobody is not valid for pod plain"},
		"log, two times":   {"GET", "plain/log?sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", "", "", 422, "at most one of `sinceTime` or `sinceSeconds` may be specified"},
		"log, negative":    {"GET", "plain/log?tailLines=-1", "", "", 422, "tailLines"},
		"log, no bytes":    {"GET", "plain/log?limitBytes=0", "", "", 422, "limitBytes"},
		"log, one stream":  {"GET", "plain/log?stream=Stdout", "", "", 422, "stream"},
	} {
		t.Run(name, func(t *testing.T) {
			code, o, err := c.send(r.method, strings.TrimSuffix("/api/v1/namespaces/default/pods/"+r.path, "/"), []byte(r.body), r.ctype)
			if err != nil {
				t.Fatal(err)
			}
			if message, _ := o["message"].(string); code != r.code || !strings.Contains(message, r.message) {
				t.Errorf("%d %s, want %d %q", code, message, r.code, r.message)
			}
		})
	}
}

// TestStatusWritersOwnTheStatus gives them neither owners nor their part in them.
func TestStatusWritersOwnTheStatus(t *testing.T) {
	_, set := podCaller(t)
	body := `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"y"}]},"spec":{"hostname":"x"},"status":{"message":"m"}}`
	p, err := set.CoreV1().Pods("default").Patch(t.Context(), "plain", types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "writer"}, "status")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.OwnerReferences) != 0 || p.Spec.Hostname != "" || p.Status.Message != "m" || p.Status.QOSClass == "" {
		t.Errorf("%+v", p)
	}
	for _, f := range p.ManagedFields {
		if f.Manager == "writer" && string(f.FieldsV1.Raw) != `{"f:status":{"f:message":{}}}` {
			t.Errorf("the writer owns %s", f.FieldsV1.Raw)
		}
	}
}

// TestMissingAccountIsNamed as upstream does.
func TestMissingAccountIsNamed(t *testing.T) {
	_, set := podCaller(t)
	p := benchPod("homeless")
	p.Spec.ServiceAccountName = "nobody"
	_, err := set.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{})
	if err == nil || err.Error() != `pods "homeless" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found` {
		t.Error(err)
	}
}

// TestEvictionSaysWhy covers dry runs by URL and by body, the condition that an evicted Pod leaves with, and budgets.
func TestEvictionSaysWhy(t *testing.T) {
	c, set := podCaller(t)
	pods := set.CoreV1().Pods("default")
	evict := func(query string, deletion *metav1.DeleteOptions) (int, map[string]any) {
		t.Helper()
		body, err := json.Marshal(policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, DeleteOptions: deletion})
		if err != nil {
			t.Fatal(err)
		}
		code, o, err := c.send("POST", "/api/v1/namespaces/default/pods/plain/eviction"+query, body, runtime.ContentTypeJSON)
		if err != nil {
			t.Fatal(err)
		}
		return code, o
	}
	plain, err := pods.Get(t.Context(), "plain", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	evict("?dryRun=All", nil)
	evict("", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	if p, err := pods.Get(t.Context(), "plain", metav1.GetOptions{}); err != nil || p.ResourceVersion != plain.ResourceVersion {
		t.Fatalf("a dry run left %v, %v", p, err)
	}
	plain.Status.Phase = corev1.PodRunning
	if plain, err = pods.UpdateStatus(t.Context(), plain, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: plain.Labels},
		}}
		if _, err := set.PolicyV1().PodDisruptionBudgets("default").Create(t.Context(), budget, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if code, o := evict("", nil); o["status"] != "Failure" || o["code"] != float64(http.StatusInternalServerError) {
		t.Errorf("two budgets: %d %v", code, o)
	}
	remove := func(name string) {
		if err := set.PolicyV1().PodDisruptionBudgets("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	remove("a")
	if code, o := evict("", nil); code != http.StatusTooManyRequests {
		t.Errorf("a budget that nobody has looked at: %d %v", code, o)
	}
	remove("b")
	why := goneWith(t, set, plain, func() { evict("", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &plain.UID}}) })
	if !slices.Contains(why, "DisruptionTarget EvictionByEvictionAPI") {
		t.Errorf("conditions %q", why)
	}
}

// goneWith are the types and the reasons of the conditions that a Pod had when it was deleted.
func goneWith(t *testing.T, set *kubernetes.Clientset, pod *corev1.Pod, by func()) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := set.CoreV1().Pods(pod.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + pod.Name, ResourceVersion: pod.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	by()
	for e := range w.ResultChan() {
		p, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type != "DELETED" {
			continue
		}
		var why []string
		for _, c := range p.Status.Conditions {
			why = append(why, string(c.Type)+" "+c.Reason)
		}
		return why
	}
	t.Fatal("the watch ended")
	return nil
}

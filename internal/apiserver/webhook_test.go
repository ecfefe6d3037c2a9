package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
)

// hooks serves webhooks by their paths, and notes which objects each was shown.
type hooks struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // path and the labels of the object
	// stuck never answers while it is open.
	stuck chan struct{}
}

// labelPatch adds a label to an object that has labels.
func labelPatch(name string) []byte {
	return fmt.Appendf(nil, `[{"op":"add","path":"/metadata/labels/%s","value":"yes"}]`, name)
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{stuck: make(chan struct{})}
	h.Server = httptest.NewTLSServer(h)
	t.Cleanup(h.Close)
	t.Cleanup(func() { close(h.stuck) })
	return h
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var object corev1.ConfigMap
	if json.NewDecoder(r.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &object) != nil {
		http.Error(w, "no review of a config map", http.StatusBadRequest)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	h.mu.Lock()
	h.seen = append(h.seen, fmt.Sprint(name, " ", object.Labels))
	h.mu.Unlock()
	patch := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	switch name {
	case "stuck":
		<-h.stuck
	case "odd":
		review.Response.UID = "odd"
	case "deny":
		review.Response.Allowed, review.Response.Result = false, &metav1.Status{Message: "not today", Code: http.StatusTeapot}
	default: // the name of a label to add
		review.Response.Patch, review.Response.PatchType = labelPatch(name), &patch
	}
	_ = json.NewEncoder(w).Encode(review)
}

func (h *hooks) client(name string) admissionregistrationv1.WebhookClientConfig {
	url := h.URL + "/" + name
	return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})}
}

func configMapRule() []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}}
}

// mutating makes webhooks that are called in the order of the names.
func (h *hooks) mutating(t *testing.T, set kubernetes.Interface, change func(*admissionregistrationv1.MutatingWebhook), names ...string) {
	t.Helper()
	none := admissionregistrationv1.SideEffectClassNone
	for n, name := range names {
		hook := admissionregistrationv1.MutatingWebhook{
			Name: name + ".mayfly.test", Rules: configMapRule(), SideEffects: &none, AdmissionReviewVersions: []string{"v1"}, ClientConfig: h.client(name),
		}
		change(&hook)
		_, err := set.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%d-%s", n, name)}, Webhooks: []admissionregistrationv1.MutatingWebhook{hook},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// labelled creates a config map with one label, after the webhooks are in force: they are read from a watch.
func labelled(t *testing.T, set kubernetes.Interface, inForce func(*corev1.ConfigMap, error) bool) (m *corev1.ConfigMap, err error) {
	t.Helper()
	eventually(t, "the webhooks are in force", func() bool {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "m", Labels: map[string]string{"own": "yes"}}}
		m, err = set.CoreV1().ConfigMaps("default").Create(t.Context(), object, metav1.CreateOptions{})
		return inForce(m, err)
	})
	return m, err
}

func TestMutatingWebhooksAreCalledAgainWhenAnotherChanges(t *testing.T) {
	set, h := clientset(t, start(t).Admin()), newHooks(t)
	again := admissionregistrationv1.IfNeededReinvocationPolicy
	h.mutating(t, set, func(w *admissionregistrationv1.MutatingWebhook) { w.ReinvocationPolicy = &again }, "first", "second")
	m, err := labelled(t, set, func(m *corev1.ConfigMap, err error) bool { return err != nil || m.Labels["second"] != "" })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"own": "yes", "first": "yes", "second": "yes"}, m.Labels); d != "" {
		t.Error(d)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.seen[max(0, len(h.seen)-3):]
	want := []string{"first map[own:yes]", "second map[first:yes own:yes]", "first map[first:yes own:yes second:yes]"}
	if d := cmp.Diff(want, last); d != "" {
		t.Error(d)
	}
}

func TestWebhooksThatDoNotAnswer(t *testing.T) {
	fail, ignore := admissionregistrationv1.Fail, admissionregistrationv1.Ignore
	second := int32(1)
	for _, name := range []string{"stuck", "odd", "away"} {
		set, h := clientset(t, start(t).Admin()), newHooks(t)
		if name == "away" {
			h.Server.Close()
		}
		h.mutating(t, set, func(w *admissionregistrationv1.MutatingWebhook) { w.FailurePolicy, w.TimeoutSeconds = &fail, &second }, name)
		_, err := labelled(t, set, func(_ *corev1.ConfigMap, err error) bool { return err != nil })
		if want := `failed calling webhook "` + name + `.mayfly.test"`; !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		configurations := set.AdmissionregistrationV1().MutatingWebhookConfigurations()
		c, err := configurations.Get(t.Context(), "0-"+name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c.Webhooks[0].FailurePolicy = &ignore
		if _, err := configurations.Update(t.Context(), c, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if m, err := labelled(t, set, func(_ *corev1.ConfigMap, err error) bool { return err == nil }); err != nil || len(m.Labels) != 1 {
			t.Errorf("%s, ignored: %v %v", name, m, err)
		}
	}
}

func TestValidatingWebhooks(t *testing.T) {
	set, h := clientset(t, start(t).Admin()), newHooks(t)
	none := admissionregistrationv1.SideEffectClassNone
	_, err := set.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "c"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "deny.mayfly.test", Rules: configMapRule(), SideEffects: &none, AdmissionReviewVersions: []string{"v1"}, ClientConfig: h.client("deny"),
			MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "asked", Expression: "has(object.metadata.annotations) && 'deny' in object.metadata.annotations"}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the webhook is in force", func() bool {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "m", Annotations: map[string]string{"deny": ""}}}
		_, err = set.CoreV1().ConfigMaps("default").Create(t.Context(), object, metav1.CreateOptions{})
		return err != nil
	})
	if want := `admission webhook "deny.mayfly.test" denied the request: not today`; err.Error() != want {
		t.Errorf("error: %v", err)
	}
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) || status.Status().Code != http.StatusTeapot {
		t.Errorf("error: %#v", err)
	}
	if _, err := labelled(t, set, func(*corev1.ConfigMap, error) bool { return true }); err != nil {
		t.Errorf("what the condition leaves out: %v", err)
	}
}

func TestMutatingPolicies(t *testing.T) {
	set := clientset(t, start(t).Admin())
	adm := set.AdmissionregistrationV1()
	rule := admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: configMapRule()[0]}
	mutate := func(name string, m admissionregistrationv1.Mutation) {
		t.Helper()
		_, err := adm.MutatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
				MatchConstraints:   &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{rule}},
				ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
				Mutations:          []admissionregistrationv1.Mutation{m},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = adm.MutatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	mutate("apply", admissionregistrationv1.Mutation{
		PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
		ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: `Object{metadata: Object.metadata{labels: {"applied": object.metadata.namespace}}}`},
	})
	mutate("patch", admissionregistrationv1.Mutation{
		PatchType: admissionregistrationv1.PatchTypeJSONPatch,
		JSONPatch: &admissionregistrationv1.JSONPatch{Expression: `[JSONPatch{op: "add", path: "/metadata/labels/patched", value: "yes"}]`},
	})
	m, err := labelled(t, set, func(m *corev1.ConfigMap, err error) bool {
		return err == nil && m.Labels["applied"] != "" && m.Labels["patched"] != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"own": "yes", "applied": "default", "patched": "yes"}, m.Labels); d != "" {
		t.Error(d)
	}
}

func TestAuditWebhookGetsEvents(t *testing.T) {
	var mu sync.Mutex
	var events []auditv1.Event
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var list auditv1.EventList
		if json.NewDecoder(r.Body).Decode(&list) == nil {
			mu.Lock()
			events = append(events, list.Items...)
			mu.Unlock()
		}
	}))
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	policy := writeFile(t, dir, "policy.yaml", strings.Replace(auditPolicy, "pods/ephemeralcontainers", "configmaps", 1))
	kubeconfig := writeFile(t, dir, "hook.kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
clusters: [{name: c, cluster: {server: %q}}]}`, hook.URL))
	i := launchWith(t, filepath.Join(dir, "data"), func(c *Config) { c.AuditPolicyFile, c.AuditWebhookConfigFile = policy, kubeconfig })
	set := clientset(t, i.Admin())
	if _, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Events are sent in batches, the last at the stop.
	i.Stop()
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 1 || events[0].Verb != "create" || events[0].ObjectRef.Name != "m" || events[0].User.Username != "kubernetes-admin" {
		t.Errorf("events: %+v", events)
	}
	if m := new(corev1.ConfigMap); len(events) > 0 && (json.Unmarshal(events[0].RequestObject.Raw, m) != nil || m.Data["k"] != "m") {
		t.Errorf("request: %s", events[0].RequestObject.Raw)
	}
}

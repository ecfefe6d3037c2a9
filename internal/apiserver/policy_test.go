package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"encoding/pem"
)

// containerKinds add a container to a Pod, in each of the three ways there are.
func containerKinds() map[string]func(*testing.T, *kubernetes.Clientset, string, string, corev1.EphemeralContainerCommon) error {
	create := func(put func(*corev1.Pod, corev1.Container)) func(*testing.T, *kubernetes.Clientset, string, string, corev1.EphemeralContainerCommon) error {
		return func(t *testing.T, set *kubernetes.Clientset, namespace, name string, c corev1.EphemeralContainerCommon) error {
			p := policyPod(name)
			put(p, corev1.Container(c))
			_, err := set.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{})
			return err
		}
	}
	return map[string]func(*testing.T, *kubernetes.Clientset, string, string, corev1.EphemeralContainerCommon) error{
		"regular": create(func(p *corev1.Pod, c corev1.Container) { p.Spec.Containers = append(p.Spec.Containers, c) }),
		"init":    create(func(p *corev1.Pod, c corev1.Container) { p.Spec.InitContainers = append(p.Spec.InitContainers, c) }),
		"ephemeral": func(t *testing.T, set *kubernetes.Clientset, namespace, name string, c corev1.EphemeralContainerCommon) error {
			p, err := set.CoreV1().Pods(namespace).Create(t.Context(), policyPod(name), metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("create the pod: %w", err)
			}
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: c})
			_, err = set.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), name, p, metav1.UpdateOptions{})
			return err
		},
	}
}

func policyPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "allowed/app"}}}}
}

// policies are what each must refuse, and how the refusal reads.
func policies() map[string]struct {
	change func(*corev1.EphemeralContainerCommon)
	want   string
} {
	type policy = struct {
		change func(*corev1.EphemeralContainerCommon)
		want   string
	}
	secret := corev1.LocalObjectReference{Name: "foreign"}
	yes := true
	return map[string]policy{
		"secret in env": {func(c *corev1.EphemeralContainerCommon) {
			c.Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: secret, Key: "k"}}}}
		}, "does not reference that secret"},
		"secret in envFrom": {func(c *corev1.EphemeralContainerCommon) {
			c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: secret}}}
		}, "does not reference that secret"},
		"pod security": {func(c *corev1.EphemeralContainerCommon) {
			c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		}, "violates PodSecurity"},
		"CEL policy": {func(c *corev1.EphemeralContainerCommon) { c.Image = "forbidden-by-cel/x" }, "image is forbidden"},
		"webhook":    {func(c *corev1.EphemeralContainerCommon) { c.Image = "forbidden-by-hook/x" }, "the hook forbids it"},
	}
}

// imageHook refuses Pods with an image of forbidden-by-hook, wherever in the Pod it is named.
func imageHook(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var review admissionv1.AdmissionReview
		if err != nil || json.Unmarshal(raw, &review) != nil {
			http.Error(w, "bad review", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: !strings.Contains(string(raw), "forbidden-by-hook")}
		if !review.Response.Allowed {
			review.Response.Result = &metav1.Status{Message: "the hook forbids it"}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(s.Close)
	return s
}

func preparePolicies(t *testing.T, set *kubernetes.Clientset) string {
	t.Helper()
	const namespace = "policed"
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(set.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}}}, metav1.CreateOptions{}))
	must(set.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default", Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}},
	}, metav1.CreateOptions{}))
	rule := admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{"CREATE", "UPDATE"},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods", "pods/ephemeralcontainers"}},
	}
	adm := set.AdmissionregistrationV1()
	must(adm.ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "images"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule}}},
			Variables: []admissionregistrationv1.Variable{{
				Name:       "all",
				Expression: "object.spec.containers.map(c, c.image) + object.spec.?initContainers.orValue([]).map(c, c.image) + object.spec.?ephemeralContainers.orValue([]).map(c, c.image)",
			}},
			Validations: []admissionregistrationv1.Validation{{Expression: "variables.all.all(i, !i.startsWith('forbidden-by-cel/'))", Message: "image is forbidden"}},
		},
	}, metav1.CreateOptions{}))
	must(adm.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "images"},
		Spec:       admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "images", ValidationActions: []admissionregistrationv1.ValidationAction{"Deny"}},
	}, metav1.CreateOptions{}))
	hook := imageHook(t)
	none := admissionregistrationv1.SideEffectClassNone
	must(adm.ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "images"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "images.mayfly.test", Rules: []admissionregistrationv1.RuleWithOperations{rule}, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &hook.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})},
		}},
	}, metav1.CreateOptions{}))
	return namespace
}

// TestPoliciesMeetEveryKindOfContainer proves each policy against regular, init and ephemeral containers alike: see
// CVE-2023-2727, CVE-2023-2728 and CVE-2024-3177.
func TestPoliciesMeetEveryKindOfContainer(t *testing.T) {
	i := launchWith(t, t.TempDir(), func(c *Config) { c.AlwaysPullImages = true })
	t.Cleanup(i.Stop)
	set := clientset(t, i.Admin())
	namespace := preparePolicies(t, set)
	inForce(t, set, namespace)
	for kind, put := range containerKinds() {
		for name, p := range policies() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				c := corev1.EphemeralContainerCommon{Name: "c", Image: "allowed/c"}
				pod := strings.ReplaceAll(strings.ToLower(kind+"-"+name), " ", "-")
				p.change(&c)
				err := put(t, set, namespace, pod, c)
				if err == nil || !strings.Contains(err.Error(), p.want) || strings.Contains(err.Error(), "create the pod") {
					t.Errorf("error: %v", err)
				}
			})
		}
		t.Run(kind+"/always pull", func(t *testing.T) {
			if err := put(t, set, namespace, kind, corev1.EphemeralContainerCommon{Name: "c", Image: "allowed/c:1", ImagePullPolicy: corev1.PullNever}); err != nil {
				t.Fatal(err)
			}
			p, err := set.CoreV1().Pods(namespace).Get(t.Context(), kind, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(p.Spec)
			if err != nil || strings.Contains(string(raw), `"imagePullPolicy":"Never"`) {
				t.Errorf("spec: %s %v", raw, err)
			}
		})
	}
}

// inForce waits until both the policy and the webhook are in force: they are read from watches.
func inForce(t *testing.T, set *kubernetes.Clientset, namespace string) {
	t.Helper()
	for _, image := range []string{"forbidden-by-cel/x", "forbidden-by-hook/x"} {
		for n := 0; ; n++ {
			p := policyPod("probe")
			p.Spec.Containers[0].Image = image
			_, err := set.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil && strings.Contains(err.Error(), "forbid") && !strings.Contains(err.Error(), "not yet ready") {
				break
			}
			if n > 200 {
				t.Fatalf("%s is let pass: %v", image, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func TestPoliciesHoldAfterARestart(t *testing.T) {
	dir := t.TempDir()
	i := launch(t, dir, nil)
	namespace := preparePolicies(t, clientset(t, i.Admin()))
	i.Stop()
	i = launch(t, dir, nil)
	t.Cleanup(i.Stop)
	p := policyPod("p")
	p.Spec.Containers[0].Image = "forbidden-by-cel/x"
	if _, err := clientset(t, i.Admin()).CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "image is forbidden") {
		t.Errorf("error: %v", err)
	}
}

func TestBrokenPoliciesAreRefused(t *testing.T) {
	set := clientset(t, start(t).Admin())
	_, err := set.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "broken"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			Validations: []admissionregistrationv1.Validation{{Expression: "object.spec. +"}},
		},
	}, metav1.CreateOptions{})
	for _, want := range []string{"spec.matchConstraints", "spec.validations[0].expression"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error without %s: %v", want, err)
		}
	}
}

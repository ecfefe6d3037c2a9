package namespace

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	fakediscovery "k8s.io/client-go/discovery/fake"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func TestBootstrapCreatesAndRestores(t *testing.T) {
	tr := trial.New(t)
	b, err := NewBootstrap(tr.Client, tr.Informers.Core().V1().Namespaces())
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, b.Run)
	exists := func(name string) bool {
		_, err := tr.Client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		return err == nil
	}
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		trial.Eventually(t, name+" exists", func() bool { return exists(name) })
	}
	trial.Eventually(t, "the cache knows it", func() bool {
		_, err := tr.Informers.Core().V1().Namespaces().Lister().Get("default")
		return err == nil
	})
	if err := tr.Client.CoreV1().Namespaces().Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "default is back", func() bool { return exists("default") })
}

func terminating() *corev1.Namespace {
	now := metav1.Now()
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "gone", UID: "gone", DeletionTimestamp: &now, Finalizers: []string{"test"}},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
	}
}

// partial is an object as the metadata client has it.
func partial(kind, name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "gone", Name: name, Finalizers: []string{"example.com/hold"}},
	}
}

func startDeletion(t *testing.T, contents ...runtime.Object) (*trial.Trial, *metadatafake.FakeMetadataClient) {
	t.Helper()
	tr := trial.New(t, terminating())
	discovery, ok := tr.Client.Discovery().(*fakediscovery.FakeDiscovery)
	if !ok {
		t.Fatal("no fake discovery")
	}
	verbs := metav1.Verbs{"list", "delete", "deletecollection"}
	discovery.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "pods", Namespaced: true, Kind: "Pod", Verbs: verbs},
		{Name: "secrets", Namespaced: true, Kind: "Secret", Verbs: verbs},
		{Name: "nodes", Kind: "Node", Verbs: verbs},
	}}}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	content := metadatafake.NewSimpleMetadataClient(scheme, contents...)
	core := tr.Informers.Core().V1()
	d, err := NewDeletion(DeletionConfig{Client: tr.Client, Metadata: content, Namespaces: core.Namespaces(), Pods: core.Pods()})
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, d.Run)
	return tr, content
}

func namespaceOf(t *testing.T, tr *trial.Trial) *corev1.Namespace {
	t.Helper()
	ns, err := tr.Client.CoreV1().Namespaces().Get(t.Context(), "gone", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func conditionOf(ns *corev1.Namespace, kind corev1.NamespaceConditionType) corev1.NamespaceCondition {
	for _, c := range ns.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.NamespaceCondition{}
}

func TestEmptyNamespaceIsLetGo(t *testing.T) {
	tr, _ := startDeletion(t)
	trial.Eventually(t, "finalizer is taken off", func() bool { return len(namespaceOf(t, tr).Spec.Finalizers) == 0 })
}

func TestPodsGoFirst(t *testing.T) {
	tr, content := startDeletion(t, partial("Pod", "p"), partial("Secret", "s"))
	// The fake deletes no collections; a finalizer would hold the objects as well.
	const remains = "Some resources are remaining: pods has 1 resource instances"
	trial.Eventually(t, "condition tells what remains", func() bool {
		return conditionOf(namespaceOf(t, tr), corev1.NamespaceContentRemaining).Message == remains
	})
	if got := conditionOf(namespaceOf(t, tr), corev1.NamespaceFinalizersRemaining).Message; got != "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances" {
		t.Errorf("finalizers remaining: %q", got)
	}
	for _, a := range content.Actions() {
		if a.GetVerb() == "delete-collection" && a.GetResource().Resource != "pods" {
			t.Errorf("%s were deleted before the pods", a.GetResource().Resource)
		}
	}
	for _, resource := range []string{"pods", "secrets"} {
		gvr := schema.GroupVersionResource{Version: "v1", Resource: resource}
		if err := content.Tracker().Delete(gvr, "gone", resource[:1]); err != nil {
			t.Fatal(err)
		}
	}
	trial.Eventually(t, "finalizer is taken off", func() bool { return len(namespaceOf(t, tr).Spec.Finalizers) == 0 })
}

func TestConditionsTellOfFailure(t *testing.T) {
	left := newRemainder()
	left.failed(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, errors.New("broken"))
	for _, c := range left.conditions() {
		if c.Type != corev1.NamespaceDeletionContentFailure {
			continue
		}
		if c.Status != corev1.ConditionTrue || c.Reason != "ContentDeletionFailed" || c.Message != "Failed to delete all resource types, 1 remaining: secrets: broken" {
			t.Errorf("condition = %+v", c)
		}
	}
}

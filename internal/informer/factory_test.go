package informer

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestFactory(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := fake.NewClientset(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}})
	var selectors []string
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		selectors = append(selectors, action.(clienttesting.ListAction).GetListRestrictions().Labels.String())
		return false, nil, nil
	})
	f := NewFactory(Config{
		Client: client,
		Tweak:  func(o *metav1.ListOptions) { o.LabelSelector = "!hidden" },
		Transform: func(obj any) (any, error) {
			obj.(metav1.Object).SetAnnotations(map[string]string{"seen": "yes"})
			return obj, nil
		},
	})
	pods := f.Core().V1().Pods()
	pods.Informer()
	f.Core().V1().Pods().Informer()
	if len(f.all) != 1 {
		t.Errorf("%d informers of one kind", len(f.all))
	}
	f.StartWithContext(ctx)
	f.StartWithContext(ctx) // again, and nothing runs twice
	if result := f.WaitForCacheSyncWithContext(ctx); result.Err != nil || len(result.Synced) != 1 {
		t.Fatalf("synced %v, %v", result.Synced, result.Err)
	}
	found, err := pods.Lister().List(labels.Everything())
	if err != nil || len(found) != 1 || found[0].Annotations["seen"] != "yes" {
		t.Errorf("found %v, %v", found, err)
	}
	if len(selectors) != 1 || selectors[0] != "!hidden" {
		t.Errorf("listed with selectors %q", selectors)
	}
	if _, err := f.ForResource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}); err == nil {
		t.Error("knows a kind by its name")
	}

	cancel()
	f.Shutdown()
	f.Apps().V1().Deployments().Informer()
	f.StartWithContext(t.Context())
	if result := f.WaitForCacheSyncWithContext(t.Context()); len(result.Synced) != 1 {
		t.Errorf("an informer was started after the end: %v", result.Synced)
	}
}

// TestInterrupted: who gives up before the cache is filled hears why.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := fake.NewClientset()
	client.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		cancel()
		return true, nil, context.Canceled
	})
	f := NewFactory(Config{Client: client})
	f.Rbac().V1().ClusterRoles().Informer()
	f.StartWithContext(ctx)
	if result := f.WaitForCacheSyncWithContext(ctx); result.Err == nil {
		t.Errorf("synced %v", result.Synced)
	}
	f.Shutdown()
}

// TestGroups: what a group promises is there, for each that the factory has.
func TestGroups(t *testing.T) {
	f := NewFactory(Config{Client: fake.NewClientset()})
	f.Core().V1().Namespaces().Informer()
	f.Apps().V1().ReplicaSets().Informer()
	f.Policy().V1().PodDisruptionBudgets().Informer()
	f.Rbac().V1().Roles().Informer()
	f.Scheduling().V1().PriorityClasses().Informer()
	f.Coordination().V1().Leases().Informer()
	f.Certificates().V1().CertificateSigningRequests().Informer()
	f.Admissionregistration().V1().ValidatingAdmissionPolicies().Informer()
	if len(f.all) != 8 {
		t.Errorf("%d informers", len(f.all))
	}
}

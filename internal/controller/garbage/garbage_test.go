package garbage

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

type object struct {
	kind, name string
	owners     []string // names of Owners; their UIDs are the same
	finalizers []string
	deleted    bool
	blocking   bool
}

func (o object) meta() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: o.kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: o.name, UID: types.UID(o.name), Finalizers: o.finalizers},
	}
	if o.deleted {
		now := metav1.Now()
		m.DeletionTimestamp = &now
	}
	for _, owner := range o.owners {
		m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{
			APIVersion: "v1", Kind: "Owner", Name: owner, UID: types.UID(owner), BlockOwnerDeletion: &o.blocking,
		})
	}
	return m
}

func resource(kind string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: map[string]string{"Owner": "owners", "Thing": "things"}[kind]}
}

type world struct {
	t      *testing.T
	client *fake.FakeMetadataClient
}

func start(t *testing.T, objects ...object) world {
	t.Helper()
	verbs := metav1.Verbs{"get", "list", "watch", "delete", "patch"}
	discovery := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{{
		GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "owners", Namespaced: true, Kind: "Owner", Verbs: verbs},
			{Name: "things", Namespaced: true, Kind: "Thing", Verbs: verbs},
			{Name: "things/status", Namespaced: true, Kind: "Thing", Verbs: verbs},
		},
	}}}}
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var content []runtime.Object
	for _, o := range objects {
		content = append(content, o.meta())
	}
	client := fake.NewSimpleMetadataClient(scheme, content...)
	c, err := New(Config{Discovery: discovery, Metadata: client})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return world{t, client}
}

func (w world) get(kind, name string) *metav1.PartialObjectMetadata {
	w.t.Helper()
	o, err := w.client.Resource(resource(kind)).Namespace("default").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return o
}

func (w world) delete(kind, name string) {
	w.t.Helper()
	if err := w.client.Resource(resource(kind)).Namespace("default").Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func TestDependentsFollowTheirOwner(t *testing.T) {
	w := start(t,
		object{kind: "Owner", name: "o"}, object{kind: "Owner", name: "p"}, object{kind: "Thing", name: "free"},
		object{kind: "Thing", name: "ofO", owners: []string{"o"}},
		object{kind: "Thing", name: "ofBoth", owners: []string{"o", "p"}},
		object{kind: "Thing", name: "ofNobody", owners: []string{"was-never"}},
	)
	trial.Eventually(t, "owner was never: gone", func() bool { return w.get("Thing", "ofNobody") == nil })
	w.delete("Owner", "o")
	trial.Eventually(t, "owner is gone: gone", func() bool { return w.get("Thing", "ofO") == nil })
	trial.Eventually(t, "one owner is left: stays without the other", func() bool {
		o := w.get("Thing", "ofBoth")
		return o != nil && len(o.OwnerReferences) == 1 && o.OwnerReferences[0].Name == "p"
	})
	if w.get("Thing", "free") == nil {
		t.Error("an object without owners was deleted")
	}
}

func TestForeground(t *testing.T) {
	w := start(t,
		object{kind: "Owner", name: "o", deleted: true, finalizers: []string{metav1.FinalizerDeleteDependents}},
		object{kind: "Thing", name: "a", owners: []string{"o"}, blocking: true},
		object{kind: "Thing", name: "b", owners: []string{"o"}},
	)
	trial.Eventually(t, "finalizer is off", func() bool { o := w.get("Owner", "o"); return o != nil && len(o.Finalizers) == 0 })
	if w.get("Thing", "a") != nil {
		t.Error("the owner was let go before what blocks it")
	}
	// The API server does this when the last finalizer is off.
	w.delete("Owner", "o")
	trial.Eventually(t, "what does not block goes as well", func() bool { return w.get("Thing", "b") == nil })
}

func TestOrphan(t *testing.T) {
	w := start(t,
		object{kind: "Owner", name: "o", deleted: true, finalizers: []string{metav1.FinalizerOrphanDependents, "example.com/other"}},
		object{kind: "Thing", name: "a", owners: []string{"o"}},
	)
	trial.Eventually(t, "finalizer is off", func() bool { o := w.get("Owner", "o"); return o != nil && len(o.Finalizers) == 1 })
	if a := w.get("Thing", "a"); a == nil || len(a.OwnerReferences) != 0 {
		t.Errorf("dependent = %v", a)
	}
}

func TestNothingIsDeletedInDoubt(t *testing.T) {
	for name, test := range map[string]metav1.OwnerReference{
		"kind that is not served": {APIVersion: "example.com/v1", Kind: "Unknown", Name: "x", UID: "x"},
		"unreadable version":      {APIVersion: "a/b/c", Kind: "Owner", Name: "x", UID: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c := &Collector{client: w.client, kinds: kinds{byKind: map[schema.GroupVersionKind]kind{}}, graph: newGraph()}
			s, err := c.standing(t.Context(), &node{namespace: "default", kind: kind{namespaced: true}}, []metav1.OwnerReference{test})
			if err != nil || len(s.solid) != 1 {
				t.Errorf("standing = %+v, %v", s, err)
			}
		})
	}
	t.Run("server does not answer", func(t *testing.T) {
		client := fake.NewSimpleMetadataClient(fake.NewTestScheme())
		client.PrependReactor("get", "owners", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("down")
		})
		k := kind{kind: schema.GroupVersionKind{Version: "v1", Kind: "Owner"}, resource: resource("Owner"), namespaced: true}
		c := &Collector{client: client, kinds: kinds{byKind: map[schema.GroupVersionKind]kind{k.kind: k}}, graph: newGraph()}
		ref := object{owners: []string{"x"}}.meta().OwnerReferences
		if _, err := c.standing(t.Context(), &node{namespace: "default", kind: k}, ref); err == nil {
			t.Error("no error")
		}
	})
}

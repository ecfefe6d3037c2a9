package trial

import (
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// counter numbers objects and their versions.
type counter struct{ n atomic.Int64 }

func (c *counter) next() string { return strconv.FormatInt(c.n.Add(1), 10) }

// identify gives created objects what the API server gives them.
func identify(count *counter) clienttesting.ReactionFunc {
	return func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := action.(clienttesting.CreateAction)
		if !ok || action.GetSubresource() != "" {
			return false, nil, nil
		}
		o, err := meta.Accessor(create.GetObject())
		if err != nil {
			return false, nil, nil
		}
		id := count.next()
		o.SetResourceVersion(id)
		if o.GetUID() == "" {
			o.SetUID(types.UID("uid-" + id))
		}
		if o.GetName() == "" {
			o.SetName(o.GetGenerateName() + id)
		}
		if o.GetCreationTimestamp().Time.IsZero() {
			o.SetCreationTimestamp(metav1.Now())
		}
		return false, nil, nil
	}
}

// update refuses what was made from an older version, and lets the status be changed by its subresources alone.
func update(client *fake.Clientset, count *counter) clienttesting.ReactionFunc {
	return func(action clienttesting.Action) (bool, runtime.Object, error) {
		update, ok := action.(clienttesting.UpdateAction)
		if !ok {
			return false, nil, nil
		}
		obj := update.GetObject().DeepCopyObject()
		sent, err := meta.Accessor(obj)
		if err != nil {
			return false, nil, nil
		}
		stored, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), sent.GetName())
		if err != nil {
			return true, nil, err
		}
		current, err := meta.Accessor(stored)
		if err != nil {
			return true, nil, err
		}
		if v := sent.GetResourceVersion(); v != "" && v != current.GetResourceVersion() {
			return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), sent.GetName(), fmt.Errorf("version is %s", current.GetResourceVersion()))
		}
		obj = merge(stored.DeepCopyObject(), obj, action.GetSubresource() == "status" || action.GetSubresource() == "approval")
		merged, err := meta.Accessor(obj)
		if err != nil {
			return true, nil, err
		}
		merged.SetResourceVersion(count.next())
		return true, obj, client.Tracker().Update(action.GetResource(), obj, action.GetNamespace())
	}
}

// merge takes the status from one of the objects and all else from the other.
func merge(stored, sent runtime.Object, statusOnly bool) runtime.Object {
	into, from := sent, stored
	if statusOnly {
		into, from = stored, sent
	}
	status := reflect.ValueOf(into).Elem().FieldByName("Status")
	if status.IsValid() {
		status.Set(reflect.ValueOf(from).Elem().FieldByName("Status"))
	}
	return into
}

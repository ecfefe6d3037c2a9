package namespace

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Delete implements rest.GracefulDeleter: the first call marks the namespace as terminating, and only one whose
// finalizers are gone is removed.
func (n *Namespaces) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	o, err := n.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	found := o.(*corev1.Namespace)
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	if err := checkPreconditions(found, options.Preconditions); err != nil {
		return nil, false, err
	}
	if found.DeletionTimestamp.IsZero() {
		return n.mark(ctx, name, validate, options)
	}
	if len(found.Spec.Finalizers) != 0 {
		return found, false, nil
	}
	return n.store.Delete(ctx, name, validate, options)
}

// checkPreconditions also binds the deletion to the very namespace that was read.
func checkPreconditions(n *corev1.Namespace, p *metav1.Preconditions) error {
	if p.UID == nil {
		p.UID = &n.UID
	} else if *p.UID != n.UID {
		return conflict(n.Name, "UID", *p.UID, n.UID)
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != n.ResourceVersion {
		return conflict(n.Name, "ResourceVersion", types.UID(*p.ResourceVersion), types.UID(n.ResourceVersion))
	}
	return nil
}

func conflict(name, what string, want, have types.UID) error {
	return apierrors.NewConflict(corev1.Resource("namespaces"), name,
		fmt.Errorf("Precondition failed: %s in precondition: %v, %s in object meta: %v", what, want, what, have))
}

func (n *Namespaces) mark(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	key, err := n.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, false, err
	}
	preconditions := storage.Preconditions{UID: options.Preconditions.UID, ResourceVersion: options.Preconditions.ResourceVersion}
	out := n.store.NewFunc()
	err = n.store.Storage.GuaranteedUpdate(ctx, key, out, false, &preconditions, storage.SimpleUpdate(func(o runtime.Object) (runtime.Object, error) {
		existing, ok := o.(*corev1.Namespace)
		if !ok {
			return nil, fmt.Errorf("delete namespace: unexpected %T", o)
		}
		if err := validate(ctx, existing); err != nil {
			return nil, err
		}
		if existing.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			existing.DeletionTimestamp = &now
		}
		existing.Status.Phase = corev1.NamespaceTerminating
		existing.Finalizers = propagate(existing.Finalizers, options.PropagationPolicy)
		return existing, nil
	}), dryrun.IsDryRun(options.DryRun), nil)
	if err != nil {
		err = storeerr.InterpretGetError(err, corev1.Resource("namespaces"), name)
		err = storeerr.InterpretUpdateError(err, corev1.Resource("namespaces"), name)
		return nil, false, err
	}
	return out, false, nil
}

// propagate turns the propagation policy into the finalizer that the garbage collector acts on.
func propagate(finalizers []string, policy *metav1.DeletionPropagation) []string {
	if policy == nil {
		return finalizers
	}
	want := map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationOrphan:     metav1.FinalizerOrphanDependents,
		metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents,
	}[*policy]
	kept := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	if want == "" {
		return kept
	}
	return append(kept, want)
}

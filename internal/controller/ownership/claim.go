// Package ownership settles which objects a controlling object owns: those that carry its owner reference and match
// its selector. Matching orphans are adopted, and owned ones that match no more are let go.
package ownership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Owner is the object that claims others.
type Owner struct {
	Object   metav1.Object
	Kind     schema.GroupVersionKind
	Selector labels.Selector
	// Live reads the object anew from the server: a cache that lags must not adopt for an owner that is gone.
	Live func(ctx context.Context) (metav1.Object, error)
}

// Patch sends a strategic merge patch of one owned object.
type Patch func(ctx context.Context, name string, patch []byte) error

// Claim answers the objects that belong to the owner, after adopting and letting go of what it must.
func Claim[T metav1.Object](ctx context.Context, o Owner, candidates []T, patch Patch) ([]T, error) {
	var (
		claimed []T
		errs    []error
		live    = o.onceLive()
	)
	for _, c := range candidates {
		matches := o.Selector.Matches(labels.Set(c.GetLabels()))
		ref := metav1.GetControllerOf(c)
		switch {
		case ref != nil && ref.UID != o.Object.GetUID():
		case ref != nil && matches:
			claimed = append(claimed, c)
		case o.Object.GetDeletionTimestamp() != nil:
		case ref != nil:
			errs = append(errs, ignoreGone(o.release(ctx, c, patch)))
		case !matches || c.GetDeletionTimestamp() != nil:
		default:
			if err := live(ctx); err != nil {
				errs = append(errs, err)
				continue
			}
			err := o.adopt(ctx, c, patch)
			if err == nil {
				claimed = append(claimed, c)
			}
			errs = append(errs, ignoreGone(err))
		}
	}
	return claimed, errors.Join(errs...)
}

// onceLive answers a check, done once, that the owner still is what the cache says.
func (o Owner) onceLive() func(ctx context.Context) error {
	var result error
	done := false
	return func(ctx context.Context) error {
		if done {
			return result
		}
		done = true
		live, err := o.Live(ctx)
		switch {
		case err != nil:
			result = fmt.Errorf("get owner: %w", err)
		case live.GetUID() != o.Object.GetUID():
			result = fmt.Errorf("owner %s/%s was replaced: its UID is %s now", o.Object.GetNamespace(), o.Object.GetName(), live.GetUID())
		case live.GetDeletionTimestamp() != nil:
			result = fmt.Errorf("owner %s/%s is being deleted", o.Object.GetNamespace(), o.Object.GetName())
		}
		return result
	}
}

func (o Owner) adopt(ctx context.Context, c metav1.Object, patch Patch) error {
	ref := metav1.NewControllerRef(o.Object, o.Kind)
	return send(ctx, c, []any{ref}, patch)
}

func (o Owner) release(ctx context.Context, c metav1.Object, patch Patch) error {
	return send(ctx, c, []any{map[string]any{"$patch": "delete", "uid": o.Object.GetUID()}}, patch)
}

// send patches the owner references of exactly this object: another of the same name has another UID.
func send(ctx context.Context, c metav1.Object, references []any, patch Patch) error {
	body, err := json.Marshal(map[string]any{"metadata": struct {
		UID        types.UID `json:"uid"`
		References []any     `json:"ownerReferences"`
	}{c.GetUID(), references}})
	if err != nil {
		return fmt.Errorf("encode owner references: %w", err)
	}
	return patch(ctx, c.GetName(), body)
}

// ignoreGone forgives that the object is gone, was replaced or is past being owned: there is nothing left to settle.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		return nil
	}
	return err
}

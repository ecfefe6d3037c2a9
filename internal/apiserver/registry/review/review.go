package review

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Answer fills in the status of a review.
type Answer[P runtime.Object] func(ctx context.Context, review P) error

// Review is a resource of which one can only create, and gets the answer back.
type Review[T any, P interface {
	*T
	runtime.Object
}] struct {
	singular   string
	namespaced bool
	judge      func(P) field.ErrorList // nil accepts
	answer     Answer[P]
}

// New implements rest.Storage.
func (r *Review[T, P]) New() runtime.Object { return P(new(T)) }

// Destroy implements rest.Storage.
func (r *Review[T, P]) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (r *Review[T, P]) NamespaceScoped() bool { return r.namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (r *Review[T, P]) GetSingularName() string { return r.singular }

// Create implements rest.Creater.
func (r *Review[T, P]) Create(ctx context.Context, o runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := o.(P)
	if !ok {
		return nil, apierrors.NewBadRequest("not a " + r.singular)
	}
	if r.judge != nil {
		if errs := r.judge(review); len(errs) > 0 {
			return nil, apierrors.NewInvalid(review.GetObjectKind().GroupVersionKind().GroupKind(), "", errs)
		}
	}
	if validate != nil {
		if err := validate(ctx, review.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := r.answer(ctx, review); err != nil {
		return nil, err
	}
	return review, nil
}

func requester(ctx context.Context) (user.Info, error) {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return u, nil
}

package review

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/mayfly-run/mayfly/internal/apiserver/authn"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
)

const (
	defaultSeconds = 3600
	minSeconds     = 600
	maxSeconds     = 1 << 32
)

// TokenRequest issues tokens of a service account: the subresource serviceaccounts/token.
type TokenRequest struct {
	accounts *registry.Storage
	lookup   authn.Lookup
	tokens   *authn.Tokens
}

// NewTokenRequest makes the token subresource of accounts.
func NewTokenRequest(accounts *registry.Storage, lookup authn.Lookup, tokens *authn.Tokens) *TokenRequest {
	return &TokenRequest{accounts: accounts, lookup: lookup, tokens: tokens}
}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*TokenRequest) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// New implements rest.Storage.
func (*TokenRequest) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy implements rest.Storage.
func (*TokenRequest) Destroy() {}

// Create implements rest.NamedCreater.
func (t *TokenRequest) Create(ctx context.Context, name string, o runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	request, ok := o.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", o))
	}
	if err := addressed(request, genericapirequest.NamespaceValue(ctx), name); err != nil {
		return nil, err
	}
	stored, err := t.accounts.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	account := stored.(*corev1.ServiceAccount)
	if request.UID != "" && request.UID != account.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: authenticationv1.GroupName, Resource: "TokenRequest"}, name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", request.UID, account.UID))
	}
	if err := complete(request, account, t.tokens.Issuer()); err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, request.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	bound, err := t.bind(ctx, request, account)
	if err != nil {
		return nil, err
	}
	if dryrun.IsDryRun(options.DryRun) {
		return request, nil
	}
	lifetime := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
	token, err := t.tokens.Issue(account, bound, request.Spec.Audiences, lifetime)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	request.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(time.Now().Add(lifetime))}
	return request, nil
}

// addressed wants a request that says whose token it is for to say what its path says.
func addressed(r *authenticationv1.TokenRequest, namespace, name string) error {
	p := field.NewPath("metadata")
	switch {
	case r.Name != "" && r.Name != name:
		return refused(name, field.Invalid(p.Child("name"), r.Name, "must match the service account name if specified"))
	case r.Namespace != "" && r.Namespace != namespace:
		return refused(name, field.Invalid(p.Child("namespace"), r.Namespace, "must match the service account namespace if specified"))
	}
	return nil
}

func refused(name string, errs ...*field.Error) error {
	return apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), name, errs)
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate implements rest.SubresourceObjectMetaPreserver: the UID of the
// request is the service account's.
func (*TokenRequest) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// complete sets what the request leaves open, and refuses what a token cannot be.
func complete(r *authenticationv1.TokenRequest, account *corev1.ServiceAccount, issuer string) error {
	if r.Name == "" {
		r.Name = account.Name
	}
	if r.Namespace == "" {
		r.Namespace = account.Namespace
	}
	r.UID, r.CreationTimestamp = account.UID, metav1.Now()
	r.Status = authenticationv1.TokenRequestStatus{}
	if len(r.Spec.Audiences) == 0 {
		r.Spec.Audiences = []string{issuer}
	}
	if r.Spec.ExpirationSeconds == nil {
		n := int64(defaultSeconds)
		r.Spec.ExpirationSeconds = &n
	}
	path := field.NewPath("spec", "expirationSeconds")
	var errs field.ErrorList
	if *r.Spec.ExpirationSeconds < minSeconds {
		errs = append(errs, field.Invalid(path, *r.Spec.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
	}
	if *r.Spec.ExpirationSeconds > maxSeconds {
		errs = append(errs, field.Invalid(path, *r.Spec.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(errs) > 0 {
		return refused("", errs...)
	}
	return nil
}

// bind finds the object that the token shall end with.
func (t *TokenRequest) bind(ctx context.Context, r *authenticationv1.TokenRequest, account *corev1.ServiceAccount) (bound authn.Bound, err error) {
	ref := r.Spec.BoundObjectRef
	if ref == nil {
		return bound, nil
	}
	namespace := genericapirequest.NamespaceValue(ctx)
	var uid string
	switch {
	case ref.Kind == "Pod" && ref.APIVersion == "v1":
		if bound.Pod, err = t.lookup.Pod(ctx, namespace, ref.Name); err != nil {
			return bound, err
		}
		if bound.Pod.Spec.ServiceAccountName != account.Name {
			return bound, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name))
		}
		uid = string(bound.Pod.UID)
		if bound.Pod.Spec.NodeName != "" {
			// A node that is not registered any more does not make the Pod's token worse.
			bound.Node, _ = t.lookup.Node(ctx, bound.Pod.Spec.NodeName)
		}
	case ref.Kind == "Secret" && ref.APIVersion == "v1":
		if bound.Secret, err = t.lookup.Secret(ctx, namespace, ref.Name); err != nil {
			return bound, err
		}
		uid = string(bound.Secret.UID)
	case ref.Kind == "Node" && ref.APIVersion == "v1":
		if bound.Node, err = t.lookup.Node(ctx, ref.Name); err != nil {
			return bound, err
		}
		uid = string(bound.Node.UID)
	default:
		return bound, apierrors.NewBadRequest("cannot bind token to object of type " + schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).String())
	}
	if ref.UID != "" && uid != string(ref.UID) {
		return bound, apierrors.NewConflict(schema.GroupResource{Resource: ref.Kind}, ref.Name, fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return bound, nil
}

// Package certificate serves requests for certificates: who asks is noted by the server, who approves or denies goes
// through the subresource approval, and who signs through status.
package certificate

import (
	"context"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

type request = certificatesv1.CertificateSigningRequest

// New makes the storages of certificates.k8s.io, by the names that the API group is installed with.
func New(o registry.Options) (map[string]rest.Storage, error) {
	k := kind()
	s, err := registry.New(o, k)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{
		"certificatesigningrequests":          s,
		"certificatesigningrequests/status":   registry.NewStatus(o, s, k),
		"certificatesigningrequests/approval": &approvals{registry.NewSubresource(s, approval{ObjectTyper: o.Scheme, NameGenerator: names.SimpleNameGenerator})},
	}, nil
}

func kind() registry.Kind[request, certificatesv1.CertificateSigningRequestList, *request, *certificatesv1.CertificateSigningRequestList] {
	return registry.Kind[request, certificatesv1.CertificateSigningRequestList, *request, *certificatesv1.CertificateSigningRequestList]{
		Resource: certificatesv1.Resource("certificatesigningrequests"), ShortNames: []string{"csr"},
		Create: validation.SigningRequestCreate, Update: validation.SigningRequestUpdate, UpdateStatus: validation.SigningRequestStatusUpdate,
		Prepare:       signed,
		PrepareUpdate: func(_ context.Context, r, old *request) { r.Spec = old.Spec },
		KeepStatus: func(r, old *request) {
			if r.Status = (certificatesv1.CertificateSigningRequestStatus{}); old != nil {
				r.Status = old.Status
			}
		},
		KeepSpec: func(r, old *request) {
			r.Spec = old.Spec
			keepVerdict(r, old)
			stamp(r, old)
		},
		Kept:   []string{"status.conditions"},
		Fields: func(r *request) fields.Set { return fields.Set{"spec.signerName": r.Spec.SignerName} },
	}
}

// signed notes who asks, whatever the request says.
func signed(ctx context.Context, r *request) {
	r.Spec.Username, r.Spec.UID, r.Spec.Groups, r.Spec.Extra = "", "", nil, nil
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return
	}
	r.Spec.Username, r.Spec.UID, r.Spec.Groups = u.GetName(), u.GetUID(), u.GetGroups()
	if extra := u.GetExtra(); len(extra) > 0 {
		r.Spec.Extra = map[string]certificatesv1.ExtraValue{}
		for key, values := range extra {
			r.Spec.Extra[key] = values
		}
	}
}

// keepVerdict keeps conditions Approved and Denied as they are: they are the approver's, not the signer's. An update
// that adds or removes one loses its conditions.
func keepVerdict(r, old *request) {
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		now, before := positions(r, t), positions(old, t)
		if len(now) != len(before) {
			r.Status.Conditions = old.Status.Conditions
			return
		}
		for i := range now {
			r.Status.Conditions[now[i]] = old.Status.Conditions[before[i]]
		}
	}
}

func positions(r *request, t certificatesv1.RequestConditionType) []int {
	var at []int
	for i, c := range r.Status.Conditions {
		if c.Type == t {
			at = append(at, i)
		}
	}
	return at
}

// stamp dates new conditions; one whose status stays keeps its date.
func stamp(r, old *request) {
	now := metav1.Now()
	for i := range r.Status.Conditions {
		c := &r.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = now
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = now
		at := slices.IndexFunc(old.Status.Conditions, func(o certificatesv1.CertificateSigningRequestCondition) bool {
			return o.Type == c.Type && o.Status == c.Status && !o.LastTransitionTime.IsZero()
		})
		if at >= 0 {
			c.LastTransitionTime = old.Status.Conditions[at].LastTransitionTime
		}
	}
}

// approvals is the subresource approval.
type approvals struct{ *registry.Subresource }

// GetResetFields implements rest.ResetFieldsStrategy.
func (*approvals) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields("certificates.k8s.io/v1", "spec", "status.certificate")
}

// approval is how the subresource of that name updates: the conditions, and nothing else.
type approval struct {
	runtime.ObjectTyper
	names.NameGenerator
	registry.Distinct
}

func (approval) NamespaceScoped() bool { return false }

func (approval) AllowCreateOnUpdate(context.Context) bool { return false }

func (approval) AllowUnconditionalUpdate(context.Context) bool { return true }

func (approval) Canonicalize(runtime.Object) {}

func (approval) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	r, o := obj.(*request), old.(*request)
	r.Spec, r.Status.Certificate = o.Spec, o.Status.Certificate
	stamp(r, o)
}

func (approval) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.SigningRequestApproval(obj.(*request), old.(*request))
}

func (approval) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

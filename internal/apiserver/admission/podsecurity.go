package admission

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	podsecurity "k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/admission/api/load"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"
)

// security holds Pods to the Pod Security Standard that their namespace's labels name. An ephemeral container makes
// it look at the whole Pod again.
type security struct {
	*admission.Handler
	delegate *podsecurity.Admission
}

func podSecurity(client kubernetes.Interface, namespaces corelisters.NamespaceLister) (admission.Interface, error) {
	config, err := load.LoadFromData(nil)
	if err != nil {
		return nil, fmt.Errorf("pod security defaults: %w", err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("pod security checks: %w", err)
	}
	d := &podsecurity.Admission{
		Configuration:    config,
		Evaluator:        evaluator,
		Metrics:          metrics.NewPrometheusRecorder(api.GetAPIVersion()),
		PodSpecExtractor: podsecurity.DefaultPodSpecExtractor{},
		NamespaceGetter:  podsecurity.NamespaceGetterFromListerAndClient(namespaces, client),
		PodLister:        podsecurity.PodListerFromClient(client),
	}
	if err := d.CompleteConfiguration(); err != nil {
		return nil, fmt.Errorf("pod security configuration: %w", err)
	}
	if err := d.ValidateConfiguration(); err != nil {
		return nil, fmt.Errorf("pod security configuration: %w", err)
	}
	return &security{admission.NewHandler(admission.Create, admission.Update), d}, nil
}

// Validate implements admission.ValidationInterface.
func (s *security) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	gr := a.GetResource().GroupResource()
	if gr != corev1.Resource("pods") && gr != corev1.Resource("namespaces") && (gr.Group != "apps") {
		return nil
	}
	result := s.delegate.Validate(ctx, attributes{a})
	for _, w := range result.Warnings {
		warning.AddWarning(ctx, "", w)
	}
	for k, v := range result.AuditAnnotations {
		// The annotation is for the audit log: failing to write it decides nothing.
		_ = a.AddAnnotation("pod-security.kubernetes.io/"+k, v)
	}
	if result.Allowed {
		return nil
	}
	return refusal(a, result.Result)
}

// refusal is a generic one where the library does not say its own.
func refusal(a admission.Attributes, result *metav1.Status) error {
	err := admission.NewForbidden(a, errors.New("Not allowed by PodSecurity"))
	var status *apierrors.StatusError
	if result == nil || !errors.As(err, &status) {
		return err
	}
	if result.Message != "" {
		status.ErrStatus.Message = result.Message
	}
	if result.Reason != "" {
		status.ErrStatus.Reason = result.Reason
	}
	if result.Details != nil {
		status.ErrStatus.Details = result.Details
	}
	if result.Code != 0 {
		status.ErrStatus.Code = result.Code
	}
	return status
}

// attributes are admission's, as the library wants them.
type attributes struct{ a admission.Attributes }

func (w attributes) GetName() string                          { return w.a.GetName() }
func (w attributes) GetNamespace() string                     { return w.a.GetNamespace() }
func (w attributes) GetResource() schema.GroupVersionResource { return w.a.GetResource() }
func (w attributes) GetKind() schema.GroupVersionKind         { return w.a.GetKind() }
func (w attributes) GetSubresource() string                   { return w.a.GetSubresource() }
func (w attributes) GetOperation() admissionv1.Operation {
	return admissionv1.Operation(w.a.GetOperation())
}
func (w attributes) GetObject() (runtime.Object, error)    { return w.a.GetObject(), nil }
func (w attributes) GetOldObject() (runtime.Object, error) { return w.a.GetOldObject(), nil }
func (w attributes) GetUserName() string                   { return w.a.GetUserInfo().GetName() }

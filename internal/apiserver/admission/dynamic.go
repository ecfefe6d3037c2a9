package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// waitForKnowledge bounds how long a request waits at the start until it is known whether policies exist.
const waitForKnowledge = 10 * time.Second

// Dynamic runs the plugins that objects of admissionregistration.k8s.io configure: policies in CEL and webhooks. Their
// machinery costs a tenth of a second and some megabytes, so it is made when the first such object exists: Begin says
// at the start whether one does, and after that the plugin sees the first one being created.
type Dynamic struct {
	cfg   Config
	auth  authorizer.Authorizer
	known chan struct{} // closed by Begin

	once    sync.Once
	made    chan struct{} // closed when plugins and err are set
	wanted  chan struct{} // closed when plugins are being made
	plugins []admission.Interface
	err     error
}

func newDynamic(c Config) *Dynamic {
	return &Dynamic{cfg: c, auth: c.Authorizer, known: make(chan struct{}), made: make(chan struct{}), wanted: make(chan struct{})}
}

// Begin tells whether there are policies or webhooks; call it once, before the server is ready.
func (d *Dynamic) Begin(exist bool) {
	if exist {
		d.want()
	}
	close(d.known)
}

// want makes the plugins in the background, at the first call.
func (d *Dynamic) want() {
	d.once.Do(func() {
		close(d.wanted)
		go func() {
			defer close(d.made)
			if d.plugins, d.err = d.build(); d.err != nil {
				slog.Error("make admission policies and webhooks", "err", d.err)
			}
		}()
	})
}

func (d *Dynamic) build() ([]admission.Interface, error) {
	client, err := dynamic.NewForConfig(d.cfg.Loopback)
	if err != nil {
		return nil, fmt.Errorf("dynamic client: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d.cfg.Client.Discovery()))
	plugins, err := d.plugin(client, mapper)
	if err != nil {
		return nil, err
	}
	d.cfg.Informers.Start(d.cfg.Stop)
	d.cfg.Informers.WaitForCacheSync(d.cfg.Stop)
	return plugins, nil
}

func (d *Dynamic) plugin(client dynamic.Interface, mapper meta.RESTMapper) ([]admission.Interface, error) {
	mutating, err := mutatingpolicy.NewPlugin(nil)
	if err != nil {
		return nil, fmt.Errorf("mutating policies: %w", err)
	}
	mutatingHook, err := mutatingwebhook.NewMutatingWebhook(nil)
	if err != nil {
		return nil, fmt.Errorf("mutating webhooks: %w", err)
	}
	validating, err := validatingpolicy.NewPlugin(nil)
	if err != nil {
		return nil, fmt.Errorf("validating policies: %w", err)
	}
	validatingHook, err := validatingwebhook.NewValidatingAdmissionWebhook(nil)
	if err != nil {
		return nil, fmt.Errorf("validating webhooks: %w", err)
	}
	i := initializer.New(d.cfg.Client, client, d.cfg.Informers, d.auth, utilfeature.DefaultFeatureGate,
		compatibility.DefaultBuildEffectiveVersion(), d.cfg.Stop, mapper)
	all := []admission.Interface{mutating, mutatingHook, validating, validatingHook}
	for _, p := range all {
		i.Initialize(p)
		if v, ok := p.(admission.InitializationValidator); ok {
			if err := v.ValidateInitialization(); err != nil {
				return nil, fmt.Errorf("admission plugin %T: %w", p, err)
			}
		}
	}
	return all, nil
}

// Handles implements admission.Interface.
func (d *Dynamic) Handles(admission.Operation) bool { return true }

// Admit implements admission.MutationInterface.
func (d *Dynamic) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	return d.each(ctx, a, func(p admission.Interface) error {
		if m, ok := p.(admission.MutationInterface); ok && p.Handles(a.GetOperation()) {
			return m.Admit(ctx, a, o)
		}
		return nil
	})
}

// Validate implements admission.ValidationInterface.
func (d *Dynamic) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if a.GetResource().Group == admissionregistrationv1.GroupName && !a.IsDryRun() {
		d.want()
		return nil
	}
	return d.each(ctx, a, func(p admission.Interface) error {
		if v, ok := p.(admission.ValidationInterface); ok && p.Handles(a.GetOperation()) {
			return v.Validate(ctx, a, o)
		}
		return nil
	})
}

func (d *Dynamic) each(ctx context.Context, a admission.Attributes, call func(admission.Interface) error) error {
	// The server itself makes what it needs, namespaces say, before it knows of policies.
	if !closed(d.wanted) && (closed(d.known) || a.GetUserInfo().GetName() == user.APIServerUser) {
		return nil
	}
	if err := d.await(ctx, a); err != nil || !closed(d.made) {
		return err
	}
	if d.err != nil {
		return apierrors.NewInternalError(fmt.Errorf("admission policies and webhooks: %w", d.err))
	}
	for _, p := range d.plugins {
		if err := call(p); err != nil {
			return err
		}
	}
	return nil
}

// await waits until it is known whether policies exist, and if so until they are in force. Requests of the server
// itself pass meanwhile: the plugins' own caches are filled by them.
func (d *Dynamic) await(ctx context.Context, a admission.Attributes) error {
	if a.GetUserInfo().GetName() == user.APIServerUser {
		return nil
	}
	timer := time.NewTimer(waitForKnowledge)
	defer timer.Stop()
	for _, event := range []chan struct{}{d.known, d.made} {
		if event == d.made && !closed(d.wanted) {
			return nil
		}
		select {
		case <-event:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
		}
	}
	return nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/backoff"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// Reasons why a container waits for its image, as the kubelet spells them.
const (
	ReasonPull     = "ErrImagePull"
	ReasonBackOff  = "ImagePullBackOff"
	ReasonNever    = "ErrImageNeverPull"
	ReasonInspect  = "ImageInspectError"
	ReasonBadName  = "InvalidImageName"
	backoffInitial = 10 * time.Second
	backoffMax     = 5 * time.Minute
)

// Failure is a reason for a container's waiting state, and what to tell about it.
type Failure struct{ Reason, Message string }

func (f *Failure) Error() string { return f.Reason + ": " + f.Message }

// Service is the part of the CRI's image service that is needed here.
type Service interface {
	ImageStatus(ctx context.Context, image *runtimev1.ImageSpec) (*runtimev1.Image, error)
	PullImage(ctx context.Context, image *runtimev1.ImageSpec, auth *runtimev1.AuthConfig, sandbox *runtimev1.PodSandboxConfig) (ref string, err error)
}

// Request is one container's need of an image.
type Request struct {
	Pod    *corev1.Pod
	Image  string
	Policy corev1.PullPolicy
	// Handler is the runtime class's handler.
	Handler string
	Sandbox *runtimev1.PodSandboxConfig
	// Auth gives the credentials for an image name, the likeliest first.
	Auth func(ctx context.Context, image string) ([]*runtimev1.AuthConfig, error)
	// Event records an event about the container.
	Event func(kind, reason, format string, args ...any)
}

// Puller answers Requests and remembers which pulls failed lately, and why.
type Puller struct {
	service Service
	backoff *backoff.Backoff
	reasons sync.Map // by the back-off's key, of the last pull
}

// New returns a Puller on top of service.
func New(service Service) *Puller {
	return &Puller{service: service, backoff: backoff.New(backoffInitial, backoffMax)}
}

// Ensure returns the image, pulled if the policy asks for it. The error is a *Failure unless ctx ended.
func (p *Puller) Ensure(ctx context.Context, r Request) (*runtimev1.Image, error) {
	name, err := withTag(r.Image)
	if err != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: %v", r.Image, err)
		r.Event(corev1.EventTypeWarning, "InspectFailed", "%s", message)
		return nil, &Failure{ReasonBadName, message}
	}
	spec := &runtimev1.ImageSpec{Image: name, UserSpecifiedImage: r.Image, RuntimeHandler: r.Handler}
	present, err := p.service.ImageStatus(ctx, spec)
	if err != nil {
		message := fmt.Sprintf("Failed to inspect image %q: %s", r.Image, runtime.Reason(err))
		r.Event(corev1.EventTypeWarning, "InspectFailed", "%s", message)
		return nil, &Failure{ReasonInspect, message}
	}
	switch {
	case present == nil && r.Policy == corev1.PullNever:
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", r.Image)
		r.Event(corev1.EventTypeWarning, "ErrImageNeverPull", "%s", message)
		return nil, &Failure{ReasonNever, message}
	case present != nil && r.Policy != corev1.PullAlways:
		r.Event(corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine and can be accessed by the pod", r.Image)
		return present, nil
	}
	return p.pull(ctx, r, spec)
}

func (p *Puller) pull(ctx context.Context, r Request, spec *runtimev1.ImageSpec) (*runtimev1.Image, error) {
	key := string(r.Pod.UID) + "_" + r.Image
	if p.backoff.Remaining(key, time.Now()) > 0 {
		r.Event(corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", r.Image)
		reason, _ := p.reasons.Load(key)
		return nil, &Failure{ReasonBackOff, fmt.Sprintf("Back-off pulling image %q: %s: %s", r.Image, ReasonPull, reason)}
	}
	r.Event(corev1.EventTypeNormal, "Pulling", "Pulling image %q", r.Image)
	start := time.Now()
	image, err := p.fetch(ctx, r, spec)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		p.backoff.Next(key, time.Now())
		reason := runtime.Reason(err)
		p.reasons.Store(key, reason)
		r.Event(corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", r.Image, reason)
		return nil, &Failure{ReasonPull, reason}
	}
	p.forget(key)
	took := time.Since(start).Truncate(time.Millisecond)
	r.Event(corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.", r.Image, took, took, image.GetSize())
	return image, nil
}

// RetryIn says how long the back-off of a Pod's image still lasts.
func (p *Puller) RetryIn(pod *corev1.Pod, image string) time.Duration {
	return p.backoff.Remaining(string(pod.UID)+"_"+image, time.Now())
}

// Forget drops what is remembered of the pulls for a Pod that is no longer.
func (p *Puller) Forget(uid types.UID) {
	p.reasons.Range(func(key, _ any) bool {
		if strings.HasPrefix(key.(string), string(uid)+"_") {
			p.forget(key.(string))
		}
		return true
	})
}

func (p *Puller) forget(key string) {
	p.backoff.Forget(key)
	p.reasons.Delete(key)
}

// fetch tries each credential, and none if there are none.
func (p *Puller) fetch(ctx context.Context, r Request, spec *runtimev1.ImageSpec) (*runtimev1.Image, error) {
	auths, err := r.Auth(ctx, spec.GetImage())
	if err != nil {
		return nil, err
	}
	if len(auths) == 0 {
		auths = append(auths, nil)
	}
	var failures []error
	for _, auth := range auths {
		ref, err := p.service.PullImage(ctx, spec, auth, r.Sandbox)
		if err != nil {
			failures = append(failures, errors.New(runtime.Reason(err)))
			continue
		}
		image, err := p.service.ImageStatus(ctx, &runtimev1.ImageSpec{Image: ref, RuntimeHandler: r.Handler})
		if err != nil {
			return nil, err
		}
		if image == nil {
			return nil, fmt.Errorf("image %s vanished after the pull", ref)
		}
		return image, nil
	}
	return nil, errors.Join(failures...)
}

// withTag adds :latest to a name that has neither tag nor digest.
func withTag(image string) (string, error) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", image, err)
	}
	bare, err := reference.ParseNormalizedNamed(image)
	if err == nil && reference.IsNameOnly(bare) {
		return image + ":" + named.(reference.NamedTagged).Tag(), nil
	}
	return image, nil
}

package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// objects reads what Pods refer to from the API server, each time anew: a node may only read single objects, and
// only those of its own Pods.
type objects struct {
	client kubernetes.Interface

	mu     sync.Mutex
	tokens map[string]*authenticationv1.TokenRequest
}

func newObjects(client kubernetes.Interface) *objects {
	return &objects{client: client, tokens: map[string]*authenticationv1.TokenRequest{}}
}

// ConfigMap is part of pod.Objects and volume.Source.
func (o *objects) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	object, err := o.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	return object, singular(err, "configmap", name)
}

// Secret is part of pod.Objects and volume.Source.
func (o *objects) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	object, err := o.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	return object, singular(err, "secret", name)
}

// singular calls what is missing by the name of its kind, as the kubelet does, where the API server names the resource.
func singular(err error, kind, name string) error {
	if apierrors.IsNotFound(err) {
		return apierrors.NewNotFound(corev1.Resource(kind), name)
	}
	return err
}

// Handler is part of pod.Objects.
func (o *objects) Handler(ctx context.Context, class string) (string, error) {
	object, err := o.client.NodeV1().RuntimeClasses().Get(ctx, class, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get runtime class %s: %w", class, err)
	}
	return object.Handler, nil
}

// maxTokenAge is when a token is renewed at the latest, however long it is valid.
const maxTokenAge = 24 * time.Hour

// Token is part of volume.Source. A token is renewed once 80 % of its life has passed.
func (o *objects) Token(ctx context.Context, pod *corev1.Pod, want *corev1.ServiceAccountTokenProjection) (string, error) {
	seconds := int64(3600)
	if want.ExpirationSeconds != nil {
		seconds = *want.ExpirationSeconds
	}
	account := pod.Spec.ServiceAccountName
	key := strings.Join([]string{string(pod.UID), account, want.Audience, fmt.Sprint(seconds)}, "\x00")
	o.mu.Lock()
	have := o.tokens[key]
	o.mu.Unlock()
	if have != nil && !stale(have, time.Now()) {
		return have.Status.Token, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if want.Audience != "" {
		request.Spec.Audiences = []string{want.Audience}
	}
	answer, err := o.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		if have != nil && time.Now().Before(have.Status.ExpirationTimestamp.Time) {
			return have.Status.Token, nil // still good
		}
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens[key] = answer
	return answer.Status.Token, nil
}

func stale(t *authenticationv1.TokenRequest, now time.Time) bool {
	life := time.Hour
	if t.Spec.ExpirationSeconds != nil {
		life = time.Duration(*t.Spec.ExpirationSeconds) * time.Second
	}
	renew := t.Status.ExpirationTimestamp.Add(-life / 5)
	if latest := t.Status.ExpirationTimestamp.Add(-life).Add(maxTokenAge); latest.Before(renew) {
		renew = latest
	}
	return now.After(renew)
}

// forget drops the tokens of a Pod that is no longer.
func (o *objects) forget(uid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.tokens {
		if strings.HasPrefix(key, uid+"\x00") {
			delete(o.tokens, key)
		}
	}
}

package volume

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mayfly-run/mayfly/internal/node/env"
)

// payload collects the files of one volume.
type payload struct {
	pod   *corev1.Pod
	src   Source
	facts Facts
	files map[string]file
	mode  os.FileMode
}

// collect adds everything that volume v is made of.
func (p *payload) collect(ctx context.Context, v *corev1.Volume) error {
	switch {
	case v.ConfigMap != nil:
		p.setMode(v.ConfigMap.DefaultMode)
		return p.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		p.setMode(v.Secret.DefaultMode)
		return p.secret(ctx, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		p.setMode(v.DownwardAPI.DefaultMode)
		return p.downward(v.DownwardAPI.Items)
	case v.Projected != nil:
		p.setMode(v.Projected.DefaultMode)
		for _, source := range v.Projected.Sources {
			if err := p.projection(ctx, source); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *payload) setMode(mode *int32) {
	p.mode = 0o644
	if mode != nil {
		p.mode = os.FileMode(*mode)
	}
}

func (p *payload) projection(ctx context.Context, s corev1.VolumeProjection) error {
	switch {
	case s.ConfigMap != nil:
		return p.configMap(ctx, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.Secret != nil:
		return p.secret(ctx, s.Secret.Name, s.Secret.Items, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return p.downward(s.DownwardAPI.Items)
	case s.ServiceAccountToken != nil:
		return p.token(ctx, s.ServiceAccountToken)
	}
	return nil
}

func (p *payload) configMap(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) error {
	object, err := p.src.ConfigMap(ctx, p.pod.Namespace, name)
	if err != nil {
		if apierrors.IsNotFound(err) && isTrue(optional) {
			return nil
		}
		return err
	}
	data := map[string][]byte{}
	for k, v := range object.Data {
		data[k] = []byte(v)
	}
	for k, v := range object.BinaryData {
		data[k] = v
	}
	return p.add("configmap", name, data, items, isTrue(optional))
}

func (p *payload) secret(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) error {
	object, err := p.src.Secret(ctx, p.pod.Namespace, name)
	if err != nil {
		if apierrors.IsNotFound(err) && isTrue(optional) {
			return nil
		}
		return err
	}
	return p.add("secret", name, object.Data, items, isTrue(optional))
}

// add puts the data under its keys, or the chosen items under their paths.
func (p *payload) add(what, name string, data map[string][]byte, items []corev1.KeyToPath, optional bool) error {
	if len(items) == 0 {
		for k, v := range data {
			p.files[k] = file{data: v, mode: p.mode}
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if optional {
				continue
			}
			return fmt.Errorf("%s %q references non-existent key: %s", what, name, item.Key)
		}
		mode := p.mode
		if item.Mode != nil {
			mode = os.FileMode(*item.Mode)
		}
		p.files[item.Path] = file{data: value, mode: mode}
	}
	return nil
}

func (p *payload) downward(items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = env.Field(p.pod, p.facts.Addresses, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			text, err = env.Resource(p.pod, item.ResourceFieldRef.ContainerName, item.ResourceFieldRef, p.facts.Allocatable)
		}
		if err != nil {
			return err
		}
		mode := p.mode
		if item.Mode != nil {
			mode = os.FileMode(*item.Mode)
		}
		p.files[item.Path] = file{data: []byte(text), mode: mode}
	}
	return nil
}

// token adds a service account token, owned by the user that all containers run as if there is just one.
func (p *payload) token(ctx context.Context, t *corev1.ServiceAccountTokenProjection) error {
	token, err := p.src.Token(ctx, p.pod, t)
	if err != nil {
		return fmt.Errorf("request token for service account %s: %w", p.pod.Spec.ServiceAccountName, err)
	}
	f := file{data: []byte(token), mode: p.mode, uid: soleUser(p.pod)}
	if sc := p.pod.Spec.SecurityContext; f.uid != nil || sc != nil && sc.FSGroup != nil {
		f.mode = 0o600
	}
	p.files[t.Path] = f
	return nil
}

func soleUser(pod *corev1.Pod) *int64 {
	var base *int64
	if pod.Spec.SecurityContext != nil {
		base = pod.Spec.SecurityContext.RunAsUser
	}
	var sole *int64
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			user := base
			if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
				user = c.SecurityContext.RunAsUser
			}
			if user == nil || sole != nil && *sole != *user {
				return nil
			}
			sole = user
		}
	}
	return sole
}

func isTrue(b *bool) bool { return b != nil && *b }

package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/storage/names"
)

const (
	tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenVolume    = "kube-api-access-"
	// tokenSeconds is an hour and a little: nodes tell these tokens by it.
	tokenSeconds = 3607
	rootCA       = "kube-root-ca.crt"
	// A namespace's default account is made right after the namespace: a Pod that is faster waits a little.
	accountAttempts = 10
	accountDelay    = 50 * time.Millisecond
)

// Accounts finds service accounts.
type Accounts interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// serviceAccount gives a Pod its service account, and a volume with the account's token.
func serviceAccount(accounts Accounts) admission.Interface {
	return &podPlugin{
		Handler:      admission.NewHandler(admission.Create, admission.Update),
		subresources: sets.New("ephemeralcontainers"),
		admit: func(ctx context.Context, p, old *corev1.Pod) error {
			if old != nil || mirrored(p) {
				return nil
			}
			if p.Spec.ServiceAccountName == "" {
				p.Spec.ServiceAccountName = "default"
			}
			p.Spec.DeprecatedServiceAccount = p.Spec.ServiceAccountName
			account, err := findAccount(ctx, accounts, p.Namespace, p.Spec.ServiceAccountName)
			if err != nil {
				return fmt.Errorf("error looking up service account %s/%s: %w", p.Namespace, p.Spec.ServiceAccountName, err)
			}
			if mountsToken(account, p) {
				mountToken(p)
			}
			if len(p.Spec.ImagePullSecrets) == 0 {
				p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, account.ImagePullSecrets...)
			}
			return nil
		},
		validate: func(ctx context.Context, p, old *corev1.Pod) error {
			if mirrored(p) {
				return validateMirror(p)
			}
			if old != nil && len(p.Spec.EphemeralContainers) == len(old.Spec.EphemeralContainers) {
				return nil
			}
			account, err := accounts.ServiceAccount(ctx, p.Namespace, p.Spec.ServiceAccountName)
			if err != nil {
				return fmt.Errorf("error looking up service account %s/%s: %w", p.Namespace, p.Spec.ServiceAccountName, err)
			}
			return limitSecrets(account, p)
		},
	}
}

func validateMirror(p *corev1.Pod) error {
	if p.Spec.ServiceAccountName != "" {
		return errors.New("a mirror pod may not reference service accounts")
	}
	for _, v := range p.Spec.Volumes {
		if v.Secret != nil {
			return errors.New("a mirror pod may not reference secrets")
		}
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.ServiceAccountToken != nil {
					return errors.New("a mirror pod may not use ServiceAccountToken volume projections")
				}
			}
		}
	}
	return nil
}

func findAccount(ctx context.Context, accounts Accounts, namespace, name string) (*corev1.ServiceAccount, error) {
	var account *corev1.ServiceAccount
	var err error
	for range accountAttempts {
		account, err = accounts.ServiceAccount(ctx, namespace, name)
		if !apierrors.IsNotFound(err) {
			return account, err
		}
		// Its kind in the singular, which is how upstream puts it and what is searched for.
		err = apierrors.NewNotFound(corev1.Resource("serviceaccount"), name)
		if name != "default" {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(accountDelay):
		}
	}
	return account, err
}

func mountsToken(account *corev1.ServiceAccount, p *corev1.Pod) bool {
	if p.Spec.AutomountServiceAccountToken != nil {
		return *p.Spec.AutomountServiceAccountToken
	}
	return account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken
}

// mountToken adds the volume, and mounts it wherever a container has not put something of its own.
func mountToken(p *corev1.Pod) {
	name, isNew := tokenVolumeName(p)
	needed := false
	mount := func(containers []corev1.Container) {
		for i := range containers {
			if hasMount(&containers[i]) {
				continue
			}
			containers[i].VolumeMounts = append(containers[i].VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenMountPath})
			needed = true
		}
	}
	mount(p.Spec.InitContainers)
	mount(p.Spec.Containers)
	if needed && isNew {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenProjection()}})
	}
}

func tokenVolumeName(p *corev1.Pod) (name string, isNew bool) {
	taken := map[string]bool{}
	for _, v := range p.Spec.Volumes {
		if len(v.Name) > len(tokenVolume) && v.Name[:len(tokenVolume)] == tokenVolume && v.Projected != nil {
			return v.Name, false
		}
		taken[v.Name] = true
	}
	for {
		if name = names.SimpleNameGenerator.GenerateName(tokenVolume); !taken[name] {
			return name, true
		}
	}
}

func hasMount(c *corev1.Container) bool {
	for _, m := range c.VolumeMounts {
		if m.MountPath == tokenMountPath {
			return true
		}
	}
	return false
}

func tokenProjection() *corev1.ProjectedVolumeSource {
	seconds, mode := int64(tokenSeconds), corev1.ProjectedVolumeSourceDefaultMode
	return &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: rootCA},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
			}}},
		},
	}
}

package admission

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// enforceMountable, with the value "true" on a service account, lets its Pods use only the secrets that it lists.
const enforceMountable = "kubernetes.io/enforce-mountable-secrets"

// limitSecrets holds a Pod to the secrets of its account, in volumes, environments and pull secrets.
func limitSecrets(account *corev1.ServiceAccount, p *corev1.Pod) error {
	if account.Annotations[enforceMountable] != "true" {
		return nil
	}
	mountable := map[string]bool{}
	for _, s := range account.Secrets {
		mountable[s.Name] = true
	}
	for _, v := range p.Spec.Volumes {
		if v.Secret != nil && !mountable[v.Secret.SecretName] {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", v.Secret.SecretName, account.Name)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil && !mountable[s.Secret.Name] {
				return fmt.Errorf("volume with projected secret %q is not allowed because service account %s does not reference that secret", s.Secret.Name, account.Name)
			}
		}
	}
	if err := visit(p, func(c *corev1.Container) error { return limitEnvironment(account, c, mountable) }); err != nil {
		return err
	}
	return limitPullSecrets(account, p)
}

func limitEnvironment(account *corev1.ServiceAccount, c *corev1.Container, mountable map[string]bool) error {
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && !mountable[e.ValueFrom.SecretKeyRef.Name] {
			return fmt.Errorf("container %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret", c.Name, e.Name, e.ValueFrom.SecretKeyRef.Name, account.Name)
		}
	}
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil && !mountable[e.SecretRef.Name] {
			return fmt.Errorf("container %s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret", c.Name, e.SecretRef.Name, account.Name)
		}
	}
	return nil
}

func limitPullSecrets(account *corev1.ServiceAccount, p *corev1.Pod) error {
	pull := map[string]bool{}
	for _, s := range account.ImagePullSecrets {
		pull[s.Name] = true
	}
	for i, s := range p.Spec.ImagePullSecrets {
		if !pull[s.Name] {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret", i, s.Name, account.Name)
		}
	}
	return nil
}

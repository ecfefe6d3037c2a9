package apiserver

import (
	corev1 "k8s.io/api/core/v1"
)

// refers tells whether pod uses the object of that name in its namespace: resource is secrets, configmaps or
// serviceaccounts. Containers of every kind count alike.
func refers(pod *corev1.Pod, resource, name string) bool {
	switch resource {
	case "serviceaccounts":
		return pod.Spec.ServiceAccountName == name
	case "secrets":
		for _, s := range pod.Spec.ImagePullSecrets {
			if s.Name == name {
				return true
			}
		}
	}
	for i := range pod.Spec.Volumes {
		if volumeRefers(&pod.Spec.Volumes[i], resource, name) {
			return true
		}
	}
	found := false
	visitEnvironment(pod, func(env []corev1.EnvVar, from []corev1.EnvFromSource) {
		found = found || environmentRefers(env, from, resource, name)
	})
	return found
}

// visitEnvironment calls visit for every container: init, regular and ephemeral.
func visitEnvironment(pod *corev1.Pod, visit func([]corev1.EnvVar, []corev1.EnvFromSource)) {
	for i := range pod.Spec.InitContainers {
		visit(pod.Spec.InitContainers[i].Env, pod.Spec.InitContainers[i].EnvFrom)
	}
	for i := range pod.Spec.Containers {
		visit(pod.Spec.Containers[i].Env, pod.Spec.Containers[i].EnvFrom)
	}
	for i := range pod.Spec.EphemeralContainers {
		visit(pod.Spec.EphemeralContainers[i].Env, pod.Spec.EphemeralContainers[i].EnvFrom)
	}
}

func environmentRefers(env []corev1.EnvVar, from []corev1.EnvFromSource, resource, name string) bool {
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.SecretKeyRef; resource == "secrets" && r != nil && r.Name == name {
			return true
		}
		if r := e.ValueFrom.ConfigMapKeyRef; resource == "configmaps" && r != nil && r.Name == name {
			return true
		}
	}
	for _, f := range from {
		if r := f.SecretRef; resource == "secrets" && r != nil && r.Name == name {
			return true
		}
		if r := f.ConfigMapRef; resource == "configmaps" && r != nil && r.Name == name {
			return true
		}
	}
	return false
}

func volumeRefers(v *corev1.Volume, resource, name string) bool {
	switch {
	case v.Secret != nil:
		return resource == "secrets" && v.Secret.SecretName == name
	case v.ConfigMap != nil:
		return resource == "configmaps" && v.ConfigMap.Name == name
	case v.CSI != nil:
		return resource == "secrets" && v.CSI.NodePublishSecretRef != nil && v.CSI.NodePublishSecretRef.Name == name
	case v.Projected == nil:
		return false
	}
	for _, s := range v.Projected.Sources {
		if resource == "secrets" && s.Secret != nil && s.Secret.Name == name {
			return true
		}
		if resource == "configmaps" && s.ConfigMap != nil && s.ConfigMap.Name == name {
			return true
		}
	}
	return false
}

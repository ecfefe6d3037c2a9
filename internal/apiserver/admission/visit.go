package admission

import (
	corev1 "k8s.io/api/core/v1"
)

// visit calls each for every container of a Pod: init, regular and ephemeral ones alike. What each changes stays. A
// policy that walks otherwise may forget a kind, as CVE-2023-2727, CVE-2023-2728 and CVE-2024-3177 tell.
func visit(p *corev1.Pod, each func(c *corev1.Container) error) error {
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if err := each(&list[i]); err != nil {
				return err
			}
		}
	}
	for i := range p.Spec.EphemeralContainers {
		e := &p.Spec.EphemeralContainers[i]
		c := corev1.Container(e.EphemeralContainerCommon)
		if err := each(&c); err != nil {
			return err
		}
		e.EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
	return nil
}

package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
)

// alwaysPullImages makes every container's image pulled with the Pod's own credentials each time, so that nobody uses
// a private image just because it lies on the node.
func alwaysPullImages() admission.Interface {
	return &podPlugin{
		Handler:      admission.NewHandler(admission.Create, admission.Update),
		subresources: sets.New("ephemeralcontainers"),
		admit: func(_ context.Context, p, old *corev1.Pod) error {
			unchanged := images(old)
			return visit(p, func(c *corev1.Container) error {
				if !unchanged.Has(c.Name + " " + c.Image) {
					c.ImagePullPolicy = corev1.PullAlways
				}
				return nil
			})
		},
		validate: func(_ context.Context, p, old *corev1.Pod) error {
			unchanged := images(old)
			return visit(p, func(c *corev1.Container) error {
				if c.ImagePullPolicy != corev1.PullAlways && !unchanged.Has(c.Name+" "+c.Image) {
					return fmt.Errorf("spec.%s: imagePullPolicy must be %s", c.Name, corev1.PullAlways)
				}
				return nil
			})
		},
	}
}

// images are the containers of a stored Pod with their images: what runs already is not judged again.
func images(p *corev1.Pod) sets.Set[string] {
	all := sets.New[string]()
	if p != nil {
		_ = visit(p, func(c *corev1.Container) error { // inserting cannot fail
			all.Insert(c.Name + " " + c.Image)
			return nil
		})
	}
	return all
}

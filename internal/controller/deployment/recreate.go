package deployment

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
)

// recreate ends every old Pod before it starts a new one.
func (c *Controller) recreate(ctx context.Context, r *rollout) error {
	if r.current != nil {
		if err := c.refreshCurrent(ctx, r); err != nil {
			return err
		}
	}
	scaledDown := false
	for i := range r.old {
		changed, err := c.resize(ctx, r, &r.old[i], 0)
		if err != nil {
			return err
		}
		scaledDown = scaledDown || changed
	}
	if scaledDown {
		return c.report(ctx, r)
	}
	running, err := c.oldPodsRun(r)
	if err != nil {
		return err
	}
	if running {
		return c.report(ctx, r)
	}
	if err := c.ensureCurrent(ctx, r); err != nil || r.current == nil {
		return err
	}
	if _, err := c.resize(ctx, r, &r.current, wanted(r.d)); err != nil {
		return err
	}
	if isComplete(r.d, &r.d.Status) {
		if err := c.cleanUp(ctx, r); err != nil {
			return err
		}
	}
	return c.report(ctx, r)
}

// oldPodsRun tells whether a Pod of an old template may still run; those on their way out do.
func (c *Controller) oldPodsRun(r *rollout) (bool, error) {
	for _, set := range r.old {
		pods, err := podindex.OfOwner(c.podIndex, set.UID)
		if err != nil {
			return false, err
		}
		for _, pod := range pods {
			if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
				return true, nil
			}
		}
	}
	return false, nil
}

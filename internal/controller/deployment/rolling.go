package deployment

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
)

// rolling takes one step of a rolling update: up with the new where there is room, else down with the old where
// enough is available.
func (c *Controller) rolling(ctx context.Context, r *rollout) error {
	if err := c.ensureCurrent(ctx, r); err != nil || r.current == nil {
		return err
	}
	scaled, err := c.resize(ctx, r, &r.current, r.roomForCurrent(r.current))
	if err != nil {
		return err
	}
	if scaled {
		return c.report(ctx, r)
	}
	if scaled, err = c.shrinkOld(ctx, r); err != nil {
		return err
	}
	if !scaled && isComplete(r.d, &r.d.Status) {
		if err := c.cleanUp(ctx, r); err != nil {
			return err
		}
	}
	return c.report(ctx, r)
}

// roomForCurrent is how large the current set may be now.
func (r *rollout) roomForCurrent(current *appsv1.ReplicaSet) int32 {
	want := wanted(r.d)
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || replicas(current) >= want {
		return want
	}
	surge, _ := fenceposts(r.d)
	total := sum(r.old, replicas) + replicas(current)
	room := want + surge - total
	if room <= 0 {
		return replicas(current)
	}
	return replicas(current) + min(room, want-replicas(current))
}

// shrinkOld scales the old sets down as far as availability allows: Pods that are not available first, whichever set
// they are of.
func (c *Controller) shrinkOld(ctx context.Context, r *rollout) (bool, error) {
	if sum(r.old, replicas) == 0 {
		return false, nil
	}
	_, maxUnavailable := fenceposts(r.d)
	least := wanted(r.d) - maxUnavailable
	currentUnavailable := replicas(r.current) - r.current.Status.AvailableReplicas
	spare := sum(r.all(), replicas) - least - currentUnavailable
	if spare <= 0 {
		return false, nil
	}
	unhealthy, err := c.shrinkEach(ctx, r, spare, func(set *appsv1.ReplicaSet) int32 { return replicas(set) - available(set) })
	if err != nil {
		return false, err
	}
	spareAvailable := sum(r.all(), available) - least
	healthy, err := c.shrinkEach(ctx, r, max(spareAvailable, 0), replicas)
	return unhealthy+healthy > 0, err
}

// shrinkEach takes up to most Pods off the old sets, from the oldest on, and from each no more than it offers.
func (c *Controller) shrinkEach(ctx context.Context, r *rollout, most int32, offers func(*appsv1.ReplicaSet) int32) (int32, error) {
	var taken int32
	for i := range r.old {
		n := min(most-taken, offers(r.old[i]), replicas(r.old[i]))
		if n <= 0 {
			continue
		}
		if _, err := c.resize(ctx, r, &r.old[i], replicas(r.old[i])-n); err != nil {
			return taken, err
		}
		taken += n
	}
	return taken, nil
}

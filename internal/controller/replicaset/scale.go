package replicaset

import (
	"context"
	"errors"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// burst is the most Pods that are created or deleted in one go, as upstream.
const burst = 500

// scaleError is what kept a set from its number of Pods, with the condition's reason.
type scaleError struct {
	reason string
	err    error
}

func (e *scaleError) Error() string { return e.err.Error() }
func (e *scaleError) Unwrap() error { return e.err }

// scale creates or deletes Pods until there are as many as wanted.
func (c *Controller) scale(ctx context.Context, key string, set *appsv1.ReplicaSet, active []*corev1.Pod) error {
	wanted := 1
	if set.Spec.Replicas != nil {
		wanted = int(*set.Spec.Replicas)
	}
	switch missing := wanted - len(active); {
	case missing > 0:
		if err := c.create(ctx, key, set, min(missing, burst)); err != nil {
			return &scaleError{"FailedCreate", err}
		}
	case missing < 0:
		victims := surplus(active, min(-missing, burst))
		if err := c.remove(ctx, key, set, victims); err != nil {
			return &scaleError{"FailedDelete", err}
		}
	}
	return nil
}

// create makes n Pods in batches of 1, 2, 4, …: a template that is refused is refused once, not n times.
func (c *Controller) create(ctx context.Context, key string, set *appsv1.ReplicaSet, n int) error {
	c.expected.expect(key, n)
	done := 0
	for batch := 1; done < n; batch *= 2 {
		size := min(batch, n-done)
		err := inParallel(size, func(int) error {
			err := c.createOne(ctx, set)
			if err != nil {
				c.expected.created(key)
			}
			return err
		})
		done += size
		if err != nil {
			for range n - done {
				c.expected.created(key)
			}
			return err
		}
	}
	return nil
}

func (c *Controller) createOne(ctx context.Context, set *appsv1.ReplicaSet) error {
	template := set.Spec.Template.DeepCopy()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: set.Name + "-", Namespace: set.Namespace,
			Labels: template.Labels, Annotations: template.Annotations, Finalizers: template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: template.Spec,
	}
	created, err := c.client.CoreV1().Pods(set.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		// Its namespace goes, and the set with it: the creation stays awaited, so that nobody tries again at once.
		return nil
	}
	if err != nil {
		c.recorder.Eventf(set, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		return fmt.Errorf("create pod: %w", err)
	}
	c.recorder.Eventf(set, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", created.Name)
	return nil
}

func (c *Controller) remove(ctx context.Context, key string, set *appsv1.ReplicaSet, victims []*corev1.Pod) error {
	uids := make([]types.UID, len(victims))
	for i, pod := range victims {
		uids[i] = pod.UID
	}
	c.expected.expect(key, 0, uids...)
	return inParallel(len(victims), func(i int) error {
		pod := victims[i]
		only := metav1.NewUIDPreconditions(string(pod.UID))
		err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: only})
		if err == nil {
			c.recorder.Eventf(set, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
			return nil
		}
		c.expected.deleted(key, pod.UID)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		c.recorder.Eventf(set, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return fmt.Errorf("delete pod %s: %w", pod.Name, err)
	})
}

func inParallel(n int, do func(i int) error) error {
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = do(i) })
	}
	group.Wait()
	return errors.Join(errs...)
}

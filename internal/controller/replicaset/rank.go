package replicaset

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// surplus chooses the n Pods whose loss matters least, in upstream's order of preference.
func surplus(active []*corev1.Pod, n int) []*corev1.Pod {
	if n >= len(active) {
		return active
	}
	onNode := map[string]int{}
	for _, pod := range active {
		if pod.Spec.NodeName != "" {
			onNode[pod.Spec.NodeName]++
		}
	}
	ranked := slices.Clone(active)
	slices.SortStableFunc(ranked, func(a, b *corev1.Pod) int {
		return cmp.Or(
			cmp.Compare(truth(a.Spec.NodeName != ""), truth(b.Spec.NodeName != "")),
			cmp.Compare(phaseRank(a), phaseRank(b)),
			cmp.Compare(truth(isReady(a)), truth(isReady(b))),
			cmp.Compare(deletionCost(a), deletionCost(b)),
			cmp.Compare(onNode[b.Spec.NodeName], onNode[a.Spec.NodeName]),
			newerFirst(readyTime(a), readyTime(b)),
			cmp.Compare(restarts(b), restarts(a)),
			newerFirst(a.CreationTimestamp.Time, b.CreationTimestamp.Time),
		)
	})
	return ranked[:n]
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func phaseRank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodRunning:
		return 2
	case corev1.PodUnknown:
		return 1
	}
	return 0
}

func deletionCost(pod *corev1.Pod) int32 {
	cost, err := strconv.ParseInt(pod.Annotations[corev1.PodDeletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

func newerFirst(a, b time.Time) int { return b.Compare(a) }

func restarts(pod *corev1.Pod) int32 {
	var most int32
	for _, s := range pod.Status.ContainerStatuses {
		most = max(most, s.RestartCount)
	}
	return most
}

func readyTime(pod *corev1.Pod) time.Time {
	since, _ := readySince(pod)
	return since
}

// readySince is when a Pod became ready, if it is.
func readySince(pod *corev1.Pod) (time.Time, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time, true
		}
	}
	return time.Time{}, false
}

func isReady(pod *corev1.Pod) bool {
	_, ready := readySince(pod)
	return ready
}

package deployment

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/dump"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"
)

// Annotations of ReplicaSets and Deployments that kubectl reads.
const (
	revisionAnnotation        = "deployment.kubernetes.io/revision"
	revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
)

// rollout is a Deployment and its ReplicaSets. The objects may be changed; none is the cache's own.
type rollout struct {
	d *appsv1.Deployment
	// current has the Deployment's template; nil before it is made.
	current *appsv1.ReplicaSet
	// old are all others, the oldest first.
	old []*appsv1.ReplicaSet
}

func (r *rollout) all() []*appsv1.ReplicaSet {
	sets := slices.Clone(r.old)
	if r.current != nil {
		sets = append(sets, r.current)
	}
	return sets
}

// find answers the oldest ReplicaSet with the Deployment's template.
func find(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	for _, set := range byAge(sets) {
		if sameTemplate(&set.Spec.Template, &d.Spec.Template) {
			return set.DeepCopy()
		}
	}
	return nil
}

// others answers all but the current one.
func others(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	current := find(d, sets)
	var old []*appsv1.ReplicaSet
	for _, set := range byAge(sets) {
		if current == nil || set.UID != current.UID {
			old = append(old, set.DeepCopy())
		}
	}
	return old
}

func byAge(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	sorted := slices.Clone(sets)
	slices.SortFunc(sorted, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// templateHash is the value of the label pod-template-hash, by the same rule as kube-controller-manager's.
func templateHash(template *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(*template))
	if collisions != nil {
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], uint32(*collisions))
		h.Write(b[:])
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

func replicas(set *appsv1.ReplicaSet) int32 {
	if set == nil || set.Spec.Replicas == nil {
		return 0
	}
	return *set.Spec.Replicas
}

func wanted(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func sum(sets []*appsv1.ReplicaSet, of func(*appsv1.ReplicaSet) int32) int32 {
	var total int32
	for _, set := range sets {
		total += of(set)
	}
	return total
}

func available(set *appsv1.ReplicaSet) int32 { return set.Status.AvailableReplicas }

func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(sets), func(s *appsv1.ReplicaSet) bool { return replicas(s) == 0 })
}

// fenceposts are how many Pods there may be too many and too few during a rolling update. Both zero would never move,
// so then one may be missing.
func fenceposts(d *appsv1.Deployment) (maxSurge, maxUnavailable int32) {
	rolling := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || rolling == nil || wanted(d) == 0 {
		return 0, 0
	}
	surge := scaled(rolling.MaxSurge, wanted(d), true)
	unavailable := scaled(rolling.MaxUnavailable, wanted(d), false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, wanted(d))
}

func scaled(value *intstr.IntOrString, of int32, roundUp bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(value, intstr.FromInt32(0)), int(of), roundUp)
	if err != nil {
		return 0
	}
	return int32(n)
}

func revision(annotations map[string]string) int64 {
	n, err := strconv.ParseInt(annotations[revisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// isScaling tells whether the number of replicas was changed since the ReplicaSets were last scaled.
func (r *rollout) isScaling() bool {
	return slices.ContainsFunc(active(r.all()), func(set *appsv1.ReplicaSet) bool {
		desired, err := strconv.ParseInt(set.Annotations[desiredReplicasAnnotation], 10, 32)
		return err == nil && int32(desired) != wanted(r.d)
	})
}

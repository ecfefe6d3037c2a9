package defaults

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	replicas         = int32(1)
	revisions        = int32(10)
	progressDeadline = int32(600)
	rollingShare     = "25%"
)

// SetDeployment fills in the defaults of a Deployment and of its Pod template.
func SetDeployment(d *appsv1.Deployment) {
	setTemplate(&d.Spec.Template)
	if d.Spec.Replicas == nil {
		d.Spec.Replicas = new(replicas)
	}
	setStrategy(&d.Spec.Strategy)
	if d.Spec.RevisionHistoryLimit == nil {
		d.Spec.RevisionHistoryLimit = new(revisions)
	}
	if d.Spec.ProgressDeadlineSeconds == nil {
		d.Spec.ProgressDeadlineSeconds = new(progressDeadline)
	}
}

func setStrategy(s *appsv1.DeploymentStrategy) {
	fill(&s.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return
	}
	if s.RollingUpdate == nil {
		s.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	}
	if s.RollingUpdate.MaxUnavailable == nil {
		s.RollingUpdate.MaxUnavailable = new(intstr.FromString(rollingShare))
	}
	if s.RollingUpdate.MaxSurge == nil {
		s.RollingUpdate.MaxSurge = new(intstr.FromString(rollingShare))
	}
}

// SetReplicaSet fills in the defaults of a ReplicaSet and of its Pod template.
func SetReplicaSet(r *appsv1.ReplicaSet) {
	setTemplate(&r.Spec.Template)
	if r.Spec.Replicas == nil {
		r.Spec.Replicas = new(replicas)
	}
}

package plain

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// Apps are Deployments and ReplicaSets.
func Apps(o registry.Options) (Storages, error) {
	all := Storages{}
	deployments, err := addWithStatus(o, all, deployment())
	if err != nil {
		return nil, err
	}
	replicaSets, err := addWithStatus(o, all, replicaSet())
	if err != nil {
		return nil, err
	}
	all["deployments/scale"] = registry.NewScale(deployments, registry.ScaleFields[*appsv1.Deployment]{
		Replicas: func(d *appsv1.Deployment) **int32 { return &d.Spec.Replicas },
		Status:   func(d *appsv1.Deployment) int32 { return d.Status.Replicas },
		Selector: func(d *appsv1.Deployment) *registry.LabelSelector { return d.Spec.Selector },
	})
	all["replicasets/scale"] = registry.NewScale(replicaSets, registry.ScaleFields[*appsv1.ReplicaSet]{
		Replicas: func(r *appsv1.ReplicaSet) **int32 { return &r.Spec.Replicas },
		Status:   func(r *appsv1.ReplicaSet) int32 { return r.Status.Replicas },
		Selector: func(r *appsv1.ReplicaSet) *registry.LabelSelector { return r.Spec.Selector },
	})
	return all, nil
}

func deployment() registry.Kind[appsv1.Deployment, appsv1.DeploymentList, *appsv1.Deployment, *appsv1.DeploymentList] {
	return registry.Kind[appsv1.Deployment, appsv1.DeploymentList, *appsv1.Deployment, *appsv1.DeploymentList]{
		Resource: appsv1.Resource("deployments"), ShortNames: []string{"deploy"}, Categories: []string{"all"}, Namespaced: true,
		Create: validation.DeploymentCreate, Update: validation.DeploymentUpdate, UpdateStatus: validation.DeploymentStatusUpdate,
		Prepare: func(_ context.Context, d *appsv1.Deployment) {
			validation.DropDisabledSpecFields(&d.Spec.Template.Spec, nil)
		},
		PrepareUpdate: func(_ context.Context, d, old *appsv1.Deployment) {
			validation.DropDisabledSpecFields(&d.Spec.Template.Spec, &old.Spec.Template.Spec)
		},
		KeepStatus: func(d, old *appsv1.Deployment) {
			if d.Status = (appsv1.DeploymentStatus{}); old != nil {
				d.Status = old.Status
			}
		},
		KeepSpec: func(d, old *appsv1.Deployment) { d.Spec, d.Labels = old.Spec, old.Labels },
		Kept:     []string{"metadata.labels"},
		// Annotations go on to ReplicaSets, so they count as well.
		Spec: func(d *appsv1.Deployment) any { return []any{d.Spec, d.Annotations} },
		Warn: func(_ context.Context, d, old *appsv1.Deployment) []string {
			if old == nil {
				return validation.WorkloadWarnings(d.Name, &d.Spec.Template)
			}
			return changeWarnings(&d.ObjectMeta, &old.ObjectMeta, &d.Spec.Template)
		},
	}
}

func replicaSet() registry.Kind[appsv1.ReplicaSet, appsv1.ReplicaSetList, *appsv1.ReplicaSet, *appsv1.ReplicaSetList] {
	return registry.Kind[appsv1.ReplicaSet, appsv1.ReplicaSetList, *appsv1.ReplicaSet, *appsv1.ReplicaSetList]{
		Resource: appsv1.Resource("replicasets"), ShortNames: []string{"rs"}, Categories: []string{"all"}, Namespaced: true,
		Create: validation.ReplicaSetCreate, Update: validation.ReplicaSetUpdate, UpdateStatus: validation.ReplicaSetStatusUpdate,
		Prepare: func(_ context.Context, r *appsv1.ReplicaSet) {
			validation.DropDisabledSpecFields(&r.Spec.Template.Spec, nil)
		},
		PrepareUpdate: func(_ context.Context, r, old *appsv1.ReplicaSet) {
			validation.DropDisabledSpecFields(&r.Spec.Template.Spec, &old.Spec.Template.Spec)
		},
		KeepStatus: func(r, old *appsv1.ReplicaSet) {
			if r.Status = (appsv1.ReplicaSetStatus{}); old != nil {
				r.Status = old.Status
			}
		},
		KeepSpec: func(r, old *appsv1.ReplicaSet) { r.Spec = old.Spec },
		Spec:     func(r *appsv1.ReplicaSet) any { return r.Spec },
		Warn: func(_ context.Context, r, old *appsv1.ReplicaSet) []string {
			if old == nil {
				return validation.WorkloadWarnings(r.Name, &r.Spec.Template)
			}
			return changeWarnings(&r.ObjectMeta, &old.ObjectMeta, &r.Spec.Template)
		},
	}
}

// Policy are PodDisruptionBudgets.
func Policy(o registry.Options) (Storages, error) {
	all := Storages{}
	_, err := addWithStatus(o, all, podDisruptionBudget())
	return all, err
}

func podDisruptionBudget() registry.Kind[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList, *policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList] {
	return registry.Kind[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList, *policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList]{
		Resource: policyv1.Resource("poddisruptionbudgets"), ShortNames: []string{"pdb"}, Namespaced: true, ConditionalUpdate: true,
		Create: validation.PodDisruptionBudgetCreate, Update: validation.PodDisruptionBudgetUpdate, UpdateStatus: validation.PodDisruptionBudgetStatusUpdate,
		KeepStatus: func(p, old *policyv1.PodDisruptionBudget) {
			if p.Status = (policyv1.PodDisruptionBudgetStatus{}); old != nil {
				p.Status = old.Status
			}
		},
		KeepSpec: func(p, old *policyv1.PodDisruptionBudget) { p.Spec = old.Spec },
		Spec:     func(p *policyv1.PodDisruptionBudget) any { return p.Spec },
	}
}

// changeWarnings warns of a template again whenever an update of its workload counts for the generation.
func changeWarnings(meta, old *metav1.ObjectMeta, template *corev1.PodTemplateSpec) []string {
	if meta.Generation == old.Generation {
		return nil
	}
	return validation.TemplateWarnings(template)
}

package printer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// notApplicable is what a budget shows for the bound that it does not use.
const notApplicable = "N/A"

// sheets are the tables of every kind that has one of its own.
func sheets() []sheet {
	return slices.Concat([]sheet{podSheet()}, coreSheets(), appSheets(), classSheets(), roleSheets(), admissionSheets(), certificateSheets())
}

func appSheets() []sheet {
	templates := []metav1.TableColumnDefinition{
		wide("Containers", "Names of each container in the template."),
		wide("Images", "Images referenced by each container in the template."),
		wide("Selector", appsv1.DeploymentSpec{}.SwaggerDoc()["selector"]),
	}
	deployment, set := appsv1.DeploymentStatus{}.SwaggerDoc(), appsv1.ReplicaSetStatus{}.SwaggerDoc()
	return []sheet{
		of[appsv1.Deployment, appsv1.DeploymentList](func(o *appsv1.Deployment, now time.Time) []any {
			cells := []any{
				o.Name, fmt.Sprintf("%d/%d", o.Status.ReadyReplicas, count(o.Spec.Replicas)), int64(o.Status.UpdatedReplicas),
				int64(o.Status.AvailableReplicas), since(o.CreationTimestamp, now),
			}
			return append(cells, template(&o.Spec.Template, o.Spec.Selector)...)
		}, append([]metav1.TableColumnDefinition{
			nameColumn(), column("Ready", "string", "Number of the pod with ready state"),
			column("Up-to-date", "string", deployment["updatedReplicas"]),
			column("Available", "string", deployment["availableReplicas"]), ageColumn(),
		}, templates...)...),
		of[appsv1.ReplicaSet, appsv1.ReplicaSetList](func(o *appsv1.ReplicaSet, now time.Time) []any {
			cells := []any{
				o.Name, count(o.Spec.Replicas), int64(o.Status.Replicas), int64(o.Status.ReadyReplicas), since(o.CreationTimestamp, now),
			}
			return append(cells, template(&o.Spec.Template, o.Spec.Selector)...)
		}, append([]metav1.TableColumnDefinition{
			nameColumn(), column("Desired", "integer", appsv1.ReplicaSetSpec{}.SwaggerDoc()["replicas"]),
			column("Current", "integer", set["replicas"]),
			column("Ready", "integer", set["readyReplicas"]), ageColumn(),
		}, templates...)...),
	}
}

func count(n *int32) int64 {
	if n == nil {
		return 0
	}
	return int64(*n)
}

// template draws the three wide columns of what makes Pods.
func template(t *corev1.PodTemplateSpec, selector *metav1.LabelSelector) []any {
	var names, images []string
	for i := range t.Spec.Containers {
		names = append(names, t.Spec.Containers[i].Name)
		images = append(images, t.Spec.Containers[i].Image)
	}
	return []any{strings.Join(names, ","), strings.Join(images, ","), metav1.FormatLabelSelector(selector)}
}

func classSheets() []sheet {
	class, budget := schedulingv1.PriorityClass{}.SwaggerDoc(), policyv1.PodDisruptionBudgetSpec{}.SwaggerDoc()
	return []sheet{
		of[coordinationv1.Lease, coordinationv1.LeaseList](func(o *coordinationv1.Lease, now time.Time) []any {
			holder := ""
			if o.Spec.HolderIdentity != nil {
				holder = *o.Spec.HolderIdentity
			}
			return []any{o.Name, holder, since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Holder", "string", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]), ageColumn()),
		of[schedulingv1.PriorityClass, schedulingv1.PriorityClassList](func(o *schedulingv1.PriorityClass, now time.Time) []any {
			policy := ""
			if o.PreemptionPolicy != nil {
				policy = string(*o.PreemptionPolicy)
			}
			return []any{o.Name, int64(o.Value), o.GlobalDefault, since(o.CreationTimestamp, now), policy}
		}, nameColumn(), column("Value", "integer", class["value"]), column("Global-Default", "boolean", class["globalDefault"]),
			ageColumn(), column("PreemptionPolicy", "string", class["preemptionPolicy"])),
		of[nodev1.RuntimeClass, nodev1.RuntimeClassList](func(o *nodev1.RuntimeClass, now time.Time) []any {
			return []any{o.Name, o.Handler, since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Handler", "string", nodev1.RuntimeClass{}.SwaggerDoc()["handler"]), ageColumn()),
		of[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList](func(o *policyv1.PodDisruptionBudget, now time.Time) []any {
			return []any{
				o.Name, bound(o.Spec.MinAvailable), bound(o.Spec.MaxUnavailable), int64(o.Status.DisruptionsAllowed),
				since(o.CreationTimestamp, now),
			}
		}, nameColumn(), column("Min Available", "string", budget["minAvailable"]), column("Max Unavailable", "string", budget["maxUnavailable"]),
			column("Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."), ageColumn()),
	}
}

func bound(v *intstr.IntOrString) string {
	if v == nil {
		return notApplicable
	}
	return v.String()
}

func roleSheets() []sheet {
	columns := func(doc map[string]string, kind string) []metav1.TableColumnDefinition {
		return []metav1.TableColumnDefinition{
			nameColumn(), column("Role", "string", doc["roleRef"]), ageColumn(),
			wide("Users", "Users in the "+kind), wide("Groups", "Groups in the "+kind),
			wide("ServiceAccounts", "ServiceAccounts in the "+kind),
		}
	}
	return []sheet{
		of[rbacv1.Role, rbacv1.RoleList](func(o *rbacv1.Role, _ time.Time) []any {
			return []any{o.Name, date(o.CreationTimestamp)}
		}, nameColumn(), createdColumn()),
		of[rbacv1.ClusterRole, rbacv1.ClusterRoleList](func(o *rbacv1.ClusterRole, _ time.Time) []any {
			return []any{o.Name, date(o.CreationTimestamp)}
		}, nameColumn(), createdColumn()),
		of[rbacv1.RoleBinding, rbacv1.RoleBindingList](func(o *rbacv1.RoleBinding, now time.Time) []any {
			return append([]any{o.Name, o.RoleRef.Kind + "/" + o.RoleRef.Name, since(o.CreationTimestamp, now)}, subjects(o.Subjects)...)
		}, columns(rbacv1.RoleBinding{}.SwaggerDoc(), "roleBinding")...),
		of[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList](func(o *rbacv1.ClusterRoleBinding, now time.Time) []any {
			return append([]any{o.Name, o.RoleRef.Kind + "/" + o.RoleRef.Name, since(o.CreationTimestamp, now)}, subjects(o.Subjects)...)
		}, columns(rbacv1.ClusterRoleBinding{}.SwaggerDoc(), "clusterRoleBinding")...),
	}
}

// subjects draws the three wide columns of a binding.
func subjects(list []rbacv1.Subject) []any {
	var users, groups, accounts []string
	for _, s := range list {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", ")}
}

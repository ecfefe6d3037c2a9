package printer

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestColumns has the columns that kube-apiserver 1.37 draws for each kind that is served; those in brackets are drawn
// by -o wide alone.
func TestColumns(t *testing.T) {
	const workload = " [Containers] [Images] [Selector]"
	const binding = "Name Role Age [Users] [Groups] [ServiceAccounts]"
	for want, kinds := range map[string][]runtime.Object{
		"Name Ready Status Restarts Age [IP] [Node] [Nominated_Node] [Readiness_Gates]": {&corev1.Pod{}, &corev1.PodList{}},
		"Name Status Age":        {&corev1.Namespace{}},
		"Name Data Age":          {&corev1.ConfigMap{}},
		"Name Type Data Age":     {&corev1.Secret{}},
		"Name Age":               {&corev1.ServiceAccount{}},
		"Name Created_At":        {&corev1.LimitRange{}, &rbacv1.Role{}, &rbacv1.ClusterRoleList{}},
		"Name Request Limit Age": {&corev1.ResourceQuota{}},
		"Name Status Roles Age Version [Internal-IP] [External-IP] [OS-Image] [Kernel-Version] [Container-Runtime]": {&corev1.Node{}},
		"Last_Seen Type Reason Object [Subobject] [Source] Message [First_Seen] [Count] [Name]":                     {&corev1.Event{}, &corev1.EventList{}},
		"Name Ready Up-to-date Available Age" + workload:                                                            {&appsv1.Deployment{}},
		"Name Desired Current Ready Age" + workload:                                                                 {&appsv1.ReplicaSet{}},
		"Name Holder Age": {&coordinationv1.Lease{}},
		"Name Value Global-Default Age PreemptionPolicy": {&schedulingv1.PriorityClass{}},
		"Name Handler Age": {&nodev1.RuntimeClass{}},
		"Name Min_Available Max_Unavailable Allowed_Disruptions Age": {&policyv1.PodDisruptionBudget{}},
		binding:                          {&rbacv1.RoleBinding{}, &rbacv1.ClusterRoleBinding{}},
		"Name Validations ParamKind Age": {&admissionregistrationv1.ValidatingAdmissionPolicy{}},
		"Name Mutations ParamKind Age":   {&admissionregistrationv1.MutatingAdmissionPolicy{}},
		"Name PolicyName ParamRef Age":   {&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &admissionregistrationv1.MutatingAdmissionPolicyBinding{}},
		"Name Webhooks Age":              {&admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfiguration{}},
		"Name Age SignerName Requestor RequestedDuration Condition": {&certificatesv1.CertificateSigningRequest{}},
	} {
		for _, o := range kinds {
			var got []string
			for _, c := range table(t, o, nil).ColumnDefinitions {
				name := strings.ReplaceAll(c.Name, " ", "_")
				if c.Priority > 0 {
					name = "[" + name + "]"
				}
				if c.Description == "" {
					t.Errorf("%T: column %s says nothing", o, c.Name)
				}
				got = append(got, name)
			}
			if all := strings.Join(got, " "); all != want {
				t.Errorf("%T: %s\nwant %s", o, all, want)
			}
		}
	}
}

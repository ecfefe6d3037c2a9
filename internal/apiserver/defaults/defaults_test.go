package defaults_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
)

func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"busybox":          corev1.PullAlways,
		"busybox:latest":   corev1.PullAlways,
		"busybox:1.36":     corev1.PullIfNotPresent,
		"reg:5000/a/b":     corev1.PullAlways,
		"reg:5000/a/b:c":   corev1.PullIfNotPresent,
		"busy box":         corev1.PullIfNotPresent,
		"":                 corev1.PullIfNotPresent,
		"b@sha256:" + zero: corev1.PullIfNotPresent,
	} {
		if got := defaults.PullPolicy(image); got != want {
			t.Errorf("%q: %s, want %s", image, got, want)
		}
	}
}

const zero = "0000000000000000000000000000000000000000000000000000000000000000"

// TestPodResources covers the requests that follow from limits, of containers and of Pods.
func TestPodResources(t *testing.T) {
	for name, c := range map[string]struct{ spec, container, pod string }{
		"from limits": {`{"containers":[{"resources":{"limits":{"cpu":"2"}}}]}`, `{"limits":{"cpu":"2"},"requests":{"cpu":"2"}}`, `null`},
		"kept":        {`{"containers":[{"resources":{"limits":{"cpu":"2"},"requests":{"cpu":"1"}}}]}`, `{"limits":{"cpu":"2"},"requests":{"cpu":"1"}}`, `null`},
		"rounded":     {`{"containers":[{"resources":{"requests":{"cpu":"1u"}}}]}`, `{"requests":{"cpu":"1m"}}`, `null`},
		"pod from containers": {`{"resources":{"limits":{"cpu":"3"}},"containers":[{"resources":{"requests":{"cpu":"1","memory":"1Mi"}}}]}`,
			`{"requests":{"cpu":"1","memory":"1Mi"}}`, `{"limits":{"cpu":"3"},"requests":{"cpu":"1","memory":"1Mi"}}`},
		"pod from its limits": {`{"resources":{"limits":{"cpu":"3"}},"containers":[{}]}`, `{}`, `{"limits":{"cpu":"3"},"requests":{"cpu":"3"}}`},
		"pod limit from containers": {`{"resources":{"requests":{"cpu":"3","memory":"1Mi"}},"containers":[{"resources":{"limits":{"cpu":"1","memory":"2Mi"}}}]}`,
			`{"limits":{"cpu":"1","memory":"2Mi"},"requests":{"cpu":"1","memory":"2Mi"}}`, `{"limits":{"cpu":"3","memory":"2Mi"},"requests":{"cpu":"3","memory":"1Mi"}}`},
		"pod limit of some": {`{"resources":{"requests":{"cpu":"3"}},"containers":[{"resources":{"limits":{"cpu":"1"}}},{}]}`,
			`{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}`, `{"requests":{"cpu":"3"}}`},
		"pod empty": {`{"resources":{},"containers":[{"resources":{"requests":{"cpu":"1"}}}]}`, `{"requests":{"cpu":"1"}}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			if err := json.Unmarshal([]byte(c.spec), &pod.Spec); err != nil {
				t.Fatal(err)
			}
			defaults.SetPod(pod)
			defaults.SetPodResources(pod)
			if got := text(t, pod.Spec.Containers[0].Resources); got != c.container {
				t.Errorf("container %s, want %s", got, c.container)
			}
			if got := text(t, pod.Spec.Resources); got != c.pod {
				t.Errorf("pod %s, want %s", got, c.pod)
			}
		})
	}
}

// TestTemplatesStayBare keeps what only Pods are given out of templates.
func TestTemplatesStayBare(t *testing.T) {
	d := &appsv1.Deployment{}
	d.Spec.Template.Spec = corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{
		Ports:     []corev1.ContainerPort{{ContainerPort: 80}},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1")}},
	}}}
	defaults.SetDeployment(d)
	c := d.Spec.Template.Spec.Containers[0]
	if c.Ports[0].HostPort != 0 || c.Resources.Requests != nil || d.Spec.Template.Spec.EnableServiceLinks != nil {
		t.Errorf("template got a Pod's defaults: %+v", d.Spec.Template.Spec)
	}
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.RollingUpdate.MaxSurge.StrVal != "25%" || *d.Spec.ProgressDeadlineSeconds != 600 {
		t.Errorf("spec %+v", d.Spec)
	}
}

// TestPodAddresses keeps a status's podIP and the first of its podIPs equal.
func TestPodAddresses(t *testing.T) {
	for given, want := range map[string]string{
		`{"podIP":"1.1.1.1"}`:                                          `{"podIP":"1.1.1.1","podIPs":[{"ip":"1.1.1.1"}]}`,
		`{"podIPs":[{"ip":"1.1.1.1"},{"ip":"::1"}]}`:                   `{"podIP":"1.1.1.1","podIPs":[{"ip":"1.1.1.1"},{"ip":"::1"}]}`,
		`{"podIP":"1.1.1.2","podIPs":[{"ip":"1.1.1.1"},{"ip":"::1"}]}`: `{"podIP":"1.1.1.2","podIPs":[{"ip":"1.1.1.2"}]}`,
		`{"hostIP":"1.1.1.1"}`:                                         `{"hostIP":"1.1.1.1"}`,
	} {
		pod := &corev1.Pod{}
		if err := json.Unmarshal([]byte(given), &pod.Status); err != nil {
			t.Fatal(err)
		}
		defaults.SetPod(pod)
		if got := text(t, pod.Status); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// TestOldAnnotations drops what very old clients said of init containers, of Pods and of templates.
func TestOldAnnotations(t *testing.T) {
	annotations := func() map[string]string {
		return map[string]string{"a": "b", "pod.alpha.kubernetes.io/init-containers": "[]", "pod.beta.kubernetes.io/init-container-statuses": "[]"}
	}
	pod, template := &corev1.Pod{}, &corev1.PodTemplate{}
	pod.Annotations, template.Template.Annotations = annotations(), annotations()
	defaults.SetPod(pod)
	defaults.SetPodTemplate(template)
	for _, got := range []map[string]string{pod.Annotations, template.Template.Annotations} {
		if len(got) != 1 || got["a"] != "b" {
			t.Errorf("annotations %v", got)
		}
	}
}

// TestRegister covers the scheme's view: objects and lists.
func TestRegister(t *testing.T) {
	scheme := runtime.NewScheme()
	defaults.Register(scheme)
	list := &corev1.PodList{Items: make([]corev1.Pod, 2)}
	scheme.Default(list)
	if list.Items[1].Spec.DNSPolicy != corev1.DNSClusterFirst {
		t.Error("the second Pod of a list has no defaults")
	}
	ns := &corev1.Namespace{}
	ns.Name = "a"
	scheme.Default(ns)
	if ns.Labels["kubernetes.io/metadata.name"] != "a" || ns.Status.Phase != corev1.NamespaceActive {
		t.Errorf("namespace %+v", ns)
	}
}

func TestClusterKinds(t *testing.T) {
	secret := &corev1.Secret{}
	defaults.SetSecret(secret)
	class := &schedulingv1.PriorityClass{}
	defaults.SetPriorityClass(class)
	binding := &rbacv1.ClusterRoleBinding{Subjects: []rbacv1.Subject{{Kind: "User"}, {Kind: "ServiceAccount"}}}
	defaults.SetClusterRoleBinding(binding)
	node := &corev1.Node{Status: corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": resource.MustParse("2")}}}
	defaults.SetNode(node)
	limits := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{"cpu": resource.MustParse("4")}, Min: corev1.ResourceList{"memory": resource.MustParse("1")},
	}}}}
	defaults.SetLimitRange(limits)
	got := []string{
		string(secret.Type), string(*class.PreemptionPolicy), binding.RoleRef.APIGroup, binding.Subjects[0].APIGroup,
		binding.Subjects[1].APIGroup, text(t, node.Status.Allocatable), text(t, limits.Spec.Limits[0].Default), text(t, limits.Spec.Limits[0].DefaultRequest),
	}
	want := []string{"Opaque", "PreemptLowerPriority", rbacv1.GroupName, rbacv1.GroupName, "", `{"cpu":"2"}`, `{"cpu":"4"}`, `{"cpu":"4","memory":"1"}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSecretTakesStringData(t *testing.T) {
	for name, c := range map[string]struct {
		before, after corev1.Secret
	}{
		"alone":  {corev1.Secret{StringData: map[string]string{"a": "1"}}, corev1.Secret{Data: map[string][]byte{"a": []byte("1")}}},
		"over":   {corev1.Secret{Data: map[string][]byte{"a": []byte("0"), "b": []byte("2")}, StringData: map[string]string{"a": "1"}}, corev1.Secret{Data: map[string][]byte{"a": []byte("1"), "b": []byte("2")}}},
		"absent": {corev1.Secret{}, corev1.Secret{}},
	} {
		c.after.Type = corev1.SecretTypeOpaque
		defaults.SetSecret(&c.before)
		if d := cmp.Diff(c.after, c.before); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

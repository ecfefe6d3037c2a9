package apiserver

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func quantities(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func TestLimitRangeFillsAndRefuses(t *testing.T) {
	set := clientset(t, start(t).Admin())
	makeDefaultAccount(t, set, "default")
	if _, err := set.CoreV1().LimitRanges("default").Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "limits"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
			{Type: corev1.LimitTypeContainer, Default: quantities("memory", "64Mi"), DefaultRequest: quantities("memory", "32Mi"), Max: quantities("memory", "128Mi"), Min: quantities("memory", "16Mi")},
			{Type: corev1.LimitTypePod, Max: quantities("memory", "192Mi")},
		}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	made, err := set.CoreV1().Pods("default").Create(t.Context(), benchPod("filled"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := made.Spec.Containers[0].Resources
	if r.Limits.Memory().String() != "64Mi" || r.Requests.Memory().String() != "32Mi" ||
		made.Annotations["kubernetes.io/limit-ranger"] != "LimitRanger plugin set: memory limit for container app; memory request for container app" {
		t.Errorf("resources %v, annotations %v", r, made.Annotations)
	}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"maximum": {func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = quantities("memory", "1Gi") }, "maximum memory usage per Container is 128Mi, but limit is 1Gi"},
		"minimum": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "x", Resources: corev1.ResourceRequirements{Requests: quantities("memory", "1Mi")}}}
		}, "minimum memory usage per Container is 16Mi, but request is 1Mi"},
		"pod": {func(p *corev1.Pod) {
			for _, n := range []string{"b", "c", "d"} {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: n, Image: "x"})
			}
		}, "maximum memory usage per Pod is 192Mi, but limit is"},
	} {
		p := benchPod("refused")
		c.change(p)
		if _, err := set.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuotaRefusesWhatGoesBeyond(t *testing.T) {
	set := clientset(t, start(t).Admin())
	makeDefaultAccount(t, set, "default")
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "quota"}, Spec: corev1.ResourceQuotaSpec{Hard: quantities("pods", "1", "requests.cpu", "1", "count/configmaps", "1")}}
	made, err := set.CoreV1().ResourceQuotas("default").Create(t.Context(), q, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// As the controller does: what is used has been counted.
	made.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: quantities("pods", "0", "requests.cpu", "0", "count/configmaps", "1")}
	if _, err := set.CoreV1().ResourceQuotas("default").UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	create := func(name, cpu string) error {
		p := benchPod(name)
		if cpu != "" {
			p.Spec.Containers[0].Resources.Requests = quantities("cpu", cpu)
		}
		_, err := set.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{})
		return err
	}
	for n := 0; ; n++ { // the plugin reads quotas from a watch
		_, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), "exceeded quota: quota, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1") {
			break
		}
		if n > 100 {
			t.Fatalf("no quota in force: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := create("silent", ""); err == nil || !strings.Contains(err.Error(), "must specify requests.cpu for: app") {
		t.Errorf("without a request: %v", err)
	}
	if err := create("big", "2"); err == nil || !strings.Contains(err.Error(), "exceeded quota: quota, requested: requests.cpu=2, used: requests.cpu=0, limited: requests.cpu=1") {
		t.Errorf("too much: %v", err)
	}
	if err := create("fits", "500m"); err != nil {
		t.Errorf("fits: %v", err)
	}
	if err := create("second", "100m"); err == nil || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("second pod: %v", err)
	}
}

package resource

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func list(cpu, memory string) corev1.ResourceList {
	out := corev1.ResourceList{}
	if cpu != "" {
		out[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		out[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return out
}

func podOf(r ...corev1.ResourceRequirements) *corev1.Pod {
	p := &corev1.Pod{}
	p.UID = "u"
	for _, one := range r {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Resources: one})
	}
	return p
}

func TestQOS(t *testing.T) {
	full := corev1.ResourceRequirements{Requests: list("1", "1Gi"), Limits: list("1", "1Gi")}
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		class  corev1.PodQOSClass
		cgroup string
		oom    int64
	}{
		"best effort":          {podOf(corev1.ResourceRequirements{}), corev1.PodQOSBestEffort, "/r/kubepods/besteffort/podu", 1000},
		"guaranteed":           {podOf(full), corev1.PodQOSGuaranteed, "/r/kubepods/podu", -997},
		"limits alone":         {podOf(corev1.ResourceRequirements{Limits: list("1", "1Gi")}), corev1.PodQOSGuaranteed, "/r/kubepods/podu", -997},
		"one of two":           {podOf(full, corev1.ResourceRequirements{}), corev1.PodQOSBurstable, "/r/kubepods/burstable/podu", 750},
		"request below limit":  {podOf(corev1.ResourceRequirements{Requests: list("1", "1Gi"), Limits: list("2", "1Gi")}), corev1.PodQOSBurstable, "/r/kubepods/burstable/podu", 750},
		"cpu request alone":    {podOf(corev1.ResourceRequirements{Requests: list("1", "")}), corev1.PodQOSBurstable, "/r/kubepods/burstable/podu", 999},
		"all memory requested": {podOf(corev1.ResourceRequirements{Requests: list("", "4Gi")}), corev1.PodQOSBurstable, "/r/kubepods/burstable/podu", 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := QOS(c.pod); got != c.class {
				t.Errorf("class %s, want %s", got, c.class)
			}
			if got := CgroupParent("/r", false, c.pod); got != c.cgroup {
				t.Errorf("cgroup %s, want %s", got, c.cgroup)
			}
			if got := OOMScoreAdj(c.pod, &c.pod.Spec.Containers[0], 4<<30); got != c.oom {
				t.Errorf("oom_score_adj %d, want %d", got, c.oom)
			}
		})
	}
}

func TestSlice(t *testing.T) {
	pod := podOf(corev1.ResourceRequirements{})
	pod.UID = "1a-2b"
	if got, want := CgroupParent("/mayfly-12", true, pod), "mayfly-12-kubepods-besteffort-pod1a_2b.slice"; got != want {
		t.Errorf("slice %s, want %s", got, want)
	}
}

func TestLinux(t *testing.T) {
	limits := list("500m", "64Mi")
	limits["hugepages-2Mi"] = resource.MustParse("4Mi")
	pod := podOf(corev1.ResourceRequirements{Limits: limits})
	r := Linux(pod, &pod.Spec.Containers[0], 4<<30)
	if r.GetCpuShares() != 512 || r.GetCpuQuota() != 50_000 || r.GetMemoryLimitInBytes() != 64<<20 {
		t.Errorf("%v", r)
	}
	if h := r.GetHugepageLimits(); len(h) != 1 || h[0].GetPageSize() != "2MB" || h[0].GetLimit() != 4<<20 {
		t.Errorf("%v", h)
	}
	e := Ephemeral(Caps{Memory: 1 << 20, PIDs: 5, Unified: true})
	if e.GetMemoryLimitInBytes() != 1<<20 || e.GetUnified()["pids.max"] != "5" || e.GetCpuShares() != 2 || e.GetOomScoreAdj() != 1000 {
		t.Errorf("%v", e)
	}
}

// TestPodCgroup: a Pod is limited as its containers are together, unless one of them has no limit, or by itself.
func TestPodCgroup(t *testing.T) {
	limited := corev1.ResourceRequirements{Requests: list("250m", "32Mi"), Limits: list("500m", "64Mi")}
	always := corev1.ContainerRestartPolicyAlways
	for name, c := range map[string]struct {
		pod                   *corev1.Pod
		change                func(*corev1.Pod)
		shares, quota, memory int64
		huge                  uint64
	}{
		"best effort":    {podOf(corev1.ResourceRequirements{}), nil, 2, 0, 0, 0},
		"one":            {podOf(limited), nil, 256, 50_000, 64 << 20, 0},
		"two":            {podOf(limited, limited), nil, 512, 100_000, 128 << 20, 0},
		"one without":    {podOf(limited, corev1.ResourceRequirements{}), nil, 256, 0, 0, 0},
		"memory without": {podOf(limited, corev1.ResourceRequirements{Limits: list("500m", "")}), nil, 256, 100_000, 0, 0},
		"init without":   {podOf(limited), func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{}} }, 256, 0, 0, 0},
		"large init": {podOf(limited), func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: list("2", "1Gi"), Requests: list("2", "1Gi")}}}
		}, 2048, 200_000, 1 << 30, 0},
		"sidecar": {podOf(limited), func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Resources: limited, RestartPolicy: &always}}
		}, 512, 100_000, 128 << 20, 0},
		"overhead": {podOf(limited), func(p *corev1.Pod) { p.Spec.Overhead = list("250m", "16Mi") }, 512, 75_000, 80 << 20, 0},
		"its own": {podOf(corev1.ResourceRequirements{}), func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: list("1", "64Mi"), Limits: list("2", "256Mi")}
			p.Status.QOSClass = corev1.PodQOSBurstable
		}, 1024, 200_000, 256 << 20, 0},
		"huge pages": {podOf(limited), func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = list("500m", "64Mi")
			p.Spec.Containers[0].Resources.Limits["hugepages-2Mi"] = resource.MustParse("4Mi")
		}, 256, 50_000, 64 << 20, 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change != nil {
				c.change(c.pod)
			}
			r := PodCgroup(c.pod, 100)
			if r.GetCpuShares() != c.shares || r.GetCpuQuota() != c.quota || r.GetMemoryLimitInBytes() != c.memory || r.GetUnified()["pids.max"] != "100" {
				t.Errorf("%v, want shares %d quota %d memory %d", r, c.shares, c.quota, c.memory)
			}
			if h := r.GetHugepageLimits(); (c.huge > 0) != (len(h) == 1) || c.huge > 0 && h[0].GetLimit() != c.huge {
				t.Errorf("huge pages %v, want %d", h, c.huge)
			}
		})
	}
}

func TestWeights(t *testing.T) {
	half := corev1.ResourceRequirements{Requests: list("500m", "")}
	got := Weights("/r", false, list("2", "1Gi"), []*corev1.Pod{podOf(half), podOf(half, half), podOf(corev1.ResourceRequirements{})})
	want := map[string]int64{"/r/kubepods": 2048, "/r/kubepods/burstable": 1536, "/r/kubepods/besteffort": 2}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Weights("/r", true, list("2", "1Gi"), nil); got["r-kubepods-burstable.slice"] != 2 {
		t.Errorf("%v", got)
	}
}

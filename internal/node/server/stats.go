package server

import (
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	labels "k8s.io/kubelet/pkg/types"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// stats answers with a stats.Summary of what the runtime measures.
func (s *server) stats(w http.ResponseWriter, r *http.Request) {
	answer, err := s.Runtime.ListContainerStats(r.Context(), &runtimev1.ListContainerStatsRequest{})
	if err != nil {
		http.Error(w, runtime.Reason(err), http.StatusInternalServerError)
		return
	}
	byPod := map[string][]stats.ContainerStats{}
	for _, c := range answer.GetStats() {
		uid := c.GetAttributes().GetLabels()[labels.KubernetesPodUIDLabel]
		byPod[uid] = append(byPod[uid], containerStats(c))
	}
	summary := stats.Summary{Node: stats.NodeStats{NodeName: s.NodeName, StartTime: metav1.NewTime(s.StartedAt)}}
	for _, p := range s.Pods.List() {
		object := p.Pod()
		one := stats.PodStats{
			PodRef:     stats.PodReference{Name: object.Name, Namespace: object.Namespace, UID: string(object.UID)},
			Containers: byPod[string(object.UID)],
			CPU:        &stats.CPUStats{Time: metav1.NewTime(time.Now())},
			Memory:     &stats.MemoryStats{Time: metav1.NewTime(time.Now())},
		}
		if start := p.Status().StartTime; start != nil {
			one.StartTime = *start
		}
		for i := range one.Containers {
			addCPU(one.CPU, one.Containers[i].CPU)
			addMemory(one.Memory, one.Containers[i].Memory)
		}
		summary.Pods = append(summary.Pods, one)
	}
	writeJSON(w, r, summary)
}

func containerStats(c *runtimev1.ContainerStats) stats.ContainerStats {
	return stats.ContainerStats{
		Name: c.GetAttributes().GetLabels()[labels.KubernetesContainerNameLabel],
		CPU: &stats.CPUStats{
			Time:                 metav1.NewTime(time.Unix(0, c.GetCpu().GetTimestamp())),
			UsageNanoCores:       value(c.GetCpu().GetUsageNanoCores()),
			UsageCoreNanoSeconds: value(c.GetCpu().GetUsageCoreNanoSeconds()),
		},
		Memory: &stats.MemoryStats{
			Time:            metav1.NewTime(time.Unix(0, c.GetMemory().GetTimestamp())),
			AvailableBytes:  value(c.GetMemory().GetAvailableBytes()),
			UsageBytes:      value(c.GetMemory().GetUsageBytes()),
			WorkingSetBytes: value(c.GetMemory().GetWorkingSetBytes()),
			RSSBytes:        value(c.GetMemory().GetRssBytes()),
			PageFaults:      value(c.GetMemory().GetPageFaults()),
			MajorPageFaults: value(c.GetMemory().GetMajorPageFaults()),
		},
		Rootfs: &stats.FsStats{
			Time:       metav1.NewTime(time.Unix(0, c.GetWritableLayer().GetTimestamp())),
			UsedBytes:  value(c.GetWritableLayer().GetUsedBytes()),
			InodesUsed: value(c.GetWritableLayer().GetInodesUsed()),
		},
	}
}

func value(v *runtimev1.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	return &v.Value
}

func addCPU(sum, one *stats.CPUStats) {
	add(&sum.UsageNanoCores, one.UsageNanoCores)
	add(&sum.UsageCoreNanoSeconds, one.UsageCoreNanoSeconds)
}

func addMemory(sum, one *stats.MemoryStats) {
	add(&sum.UsageBytes, one.UsageBytes)
	add(&sum.WorkingSetBytes, one.WorkingSetBytes)
	add(&sum.RSSBytes, one.RSSBytes)
}

func add(sum **uint64, v *uint64) {
	if v == nil {
		return
	}
	total := *v
	if *sum != nil {
		total += **sum
	}
	*sum = &total
}

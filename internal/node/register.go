package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"
)

// Periods of the node's own status.
const (
	statusCheck     = 10 * time.Second
	statusHeartbeat = 5 * time.Minute
	registerRetry   = 100 * time.Millisecond
)

// keepRegistered makes the Node exist, says that it is ready, and keeps both true until ctx ends.
func (a *Agent) keepRegistered(ctx context.Context, registered func()) {
	var told corev1.NodeStatus
	var toldAt time.Time
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = statusCheck
		node, err := a.ensureNode(ctx)
		if err != nil {
			if ctx.Err() == nil {
				slog.WarnContext(ctx, "node not registered yet", "node", a.cfg.NodeName, "err", err)
			}
			wait = registerRetry
			continue
		}
		now := a.nodeStatus(ctx, node)
		if time.Since(toldAt) < statusHeartbeat && equality.Semantic.DeepEqual(quiet(told), quiet(now)) {
			continue
		}
		if err := a.patchNode(ctx, now); err != nil {
			slog.WarnContext(ctx, "node status not written", "node", a.cfg.NodeName, "err", err)
			wait = registerRetry
			continue
		}
		told, toldAt = now, time.Now()
		registered()
	}
}

// quiet is the status without its heartbeats.
func quiet(s corev1.NodeStatus) corev1.NodeStatus {
	s = *s.DeepCopy()
	for i := range s.Conditions {
		s.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return s
}

func (a *Agent) labels() map[string]string {
	out := map[string]string{
		corev1.LabelHostname:      a.cfg.NodeName,
		corev1.LabelOSStable:      a.machine.info.OperatingSystem,
		corev1.LabelArchStable:    a.machine.info.Architecture,
		"beta.kubernetes.io/os":   a.machine.info.OperatingSystem,
		"beta.kubernetes.io/arch": a.machine.info.Architecture,
	}
	for k, v := range a.cfg.Labels {
		out[k] = v
	}
	return out
}

// ensureNode makes the Node, or sets the labels of one that is there.
func (a *Agent) ensureNode(ctx context.Context) (*corev1.Node, error) {
	nodes := a.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, a.cfg.NodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		fresh := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.cfg.NodeName, Labels: a.labels()}}
		if a.cfg.PodCIDR != "" {
			fresh.Spec.PodCIDR, fresh.Spec.PodCIDRs = a.cfg.PodCIDR, []string{a.cfg.PodCIDR}
		}
		fresh.Status = a.nodeStatus(ctx, fresh)
		return nodes.Create(ctx, fresh, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	missing := map[string]string{}
	for k, v := range a.labels() {
		if node.Labels[k] != v {
			missing[k] = v
		}
	}
	if len(missing) == 0 {
		return node, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": missing}})
	if err != nil {
		return nil, fmt.Errorf("encode labels: %w", err)
	}
	return nodes.Patch(ctx, a.cfg.NodeName, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}

func (a *Agent) patchNode(ctx context.Context, s corev1.NodeStatus) error {
	addresses := make([]any, 0, len(s.Addresses)+1)
	for _, address := range s.Addresses {
		addresses = append(addresses, address)
	}
	patch, err := json.Marshal(map[string]any{"status": struct {
		corev1.NodeStatus `json:",inline"`
		Addresses         []any `json:"addresses"`
	}{s, append(addresses, map[string]string{"$patch": "replace"})}})
	if err != nil {
		return fmt.Errorf("encode node status: %w", err)
	}
	_, err = a.client.CoreV1().Nodes().Patch(ctx, a.cfg.NodeName, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func (a *Agent) nodeStatus(ctx context.Context, node *corev1.Node) corev1.NodeStatus {
	info := a.machine.info
	info.KubeletVersion = a.cfg.Version
	info.ContainerRuntimeVersion = a.runtimeName + "://" + a.runtimeVersion
	runtime, problems := a.runtimeStatus(ctx)
	s := corev1.NodeStatus{
		Capacity:    a.machine.capacity(a.cfg.MaxPods),
		Allocatable: a.machine.capacity(a.cfg.MaxPods),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: a.address},
			{Type: corev1.NodeHostName, Address: a.machine.hostname},
		},
		NodeInfo:        info,
		Conditions:      a.nodeConditions(problems, node),
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: a.kubeletPort()}},
	}
	if runtime != nil {
		s.RuntimeHandlers = runtimeHandlers(runtime)
		s.Features = &corev1.NodeFeatures{SupplementalGroupsPolicy: ptr.To(runtime.GetFeatures().GetSupplementalGroupsPolicy())}
	}
	return s
}

// runtimeHandlers tells which handlers a RuntimeClass may choose here, and what each can do.
func runtimeHandlers(runtime *runtimev1.StatusResponse) []corev1.NodeRuntimeHandler {
	var list []corev1.NodeRuntimeHandler
	for _, h := range runtime.GetRuntimeHandlers() {
		list = append(list, corev1.NodeRuntimeHandler{Name: h.GetName(), Features: &corev1.NodeRuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: ptr.To(h.GetFeatures().GetRecursiveReadOnlyMounts()), UserNamespaces: ptr.To(h.GetFeatures().GetUserNamespaces()),
		}})
	}
	return list
}

func (a *Agent) nodeConditions(problems string, node *corev1.Node) []corev1.NodeCondition {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	conditions := []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
	}
	if problems != "" {
		conditions[3] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: problems}
	}
	for i := range conditions {
		c := &conditions[i]
		c.LastHeartbeatTime, c.LastTransitionTime = now, now
		for _, old := range node.Status.Conditions {
			if old.Type == c.Type && old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	return conditions
}

// runtimeStatus asks the runtime, and says what keeps it from running Pods. The status is nil when it does not answer.
func (a *Agent) runtimeStatus(ctx context.Context) (_ *runtimev1.StatusResponse, problems string) {
	ctx, cancel := context.WithTimeout(ctx, statusCheck)
	defer cancel()
	answer, err := a.runtime.Status(ctx, &runtimev1.StatusRequest{})
	if err != nil {
		return nil, "container runtime is down: " + err.Error()
	}
	var list []string
	for _, c := range answer.GetStatus().GetConditions() {
		if !c.GetStatus() {
			list = append(list, fmt.Sprintf("%s is false, reason:%s message:%s", c.GetType(), c.GetReason(), c.GetMessage()))
		}
	}
	return answer, strings.Join(list, "; ")
}

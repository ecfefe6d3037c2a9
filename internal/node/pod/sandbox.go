package pod

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	labels "k8s.io/kubelet/pkg/types"

	"github.com/mayfly-run/mayfly/internal/node/env"
	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/security"
	"github.com/mayfly-run/mayfly/internal/node/status"
	"github.com/mayfly-run/mayfly/internal/node/userns"
)

// startSandbox starts the task that makes a sandbox, unless one failed just now.
func (w *Worker) startSandbox(ctx context.Context) time.Duration {
	if left := w.pausedFor(taskSandbox); left > 0 {
		return left
	}
	pod, attempt := w.spec, uint32(0)
	for _, s := range w.rt.Sandboxes {
		attempt = max(attempt, s.GetMetadata().GetAttempt()+1)
	}
	w.spawn(ctx, taskSandbox, func(ctx context.Context) {
		err := w.runSandbox(ctx, pod, attempt)
		if err == nil || ctx.Err() != nil {
			w.retry.Forget(taskSandbox)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pause(taskSandbox)
		w.Recorder.Eventf(pod, corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", runtime.Reason(err))
	})
	return refreshPeriod
}

func (w *Worker) runSandbox(ctx context.Context, pod *corev1.Pod, attempt uint32) error {
	w.tellDNS(pod)
	config, err := w.sandboxConfig(pod, attempt)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(config.GetLogDirectory(), 0o755); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	handler, err := w.handler(ctx, pod)
	if err != nil {
		return err
	}
	if err := w.limitCgroup(ctx, pod, resource.PodCgroup(pod, w.PodPIDs)); err != nil {
		return err
	}
	_, err = w.Runtime.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
	return err
}

// tellDNS says once, in an event about the node, that its Pods get its own resolvers in place of the cluster's.
func (w *Worker) tellDNS(pod *corev1.Pod) {
	if !w.DNS.Missing(pod) {
		return
	}
	w.toldDNS.Do(func() {
		w.Recorder.Event(&corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: w.Name, UID: types.UID(w.Name)}, corev1.EventTypeWarning, "MissingClusterDNS",
			`kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`)
	})
}

// handler is the runtime handler that the Pod's RuntimeClass names, the default one if it has none.
func (w *Worker) handler(ctx context.Context, pod *corev1.Pod) (string, error) {
	if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
		return "", nil
	}
	return w.Objects.Handler(ctx, *pod.Spec.RuntimeClassName)
}

// sandboxConfig is the same for a sandbox's creation and for each container in it.
func (w *Worker) sandboxConfig(pod *corev1.Pod, attempt uint32) (*runtimev1.PodSandboxConfig, error) {
	resolver, err := w.DNS.Pod(pod)
	if err != nil {
		return nil, err
	}
	hostname, _, err := w.DNS.Hostname(pod)
	if err != nil {
		return nil, err
	}
	if pod.Spec.HostNetwork {
		if own, err := os.Hostname(); err == nil && pod.Spec.HostnameOverride == nil {
			hostname = own
		}
	}
	var users *runtimev1.UserNamespace
	if security.OwnUsers(pod) {
		id, err := w.Users.Of(pod.UID)
		if err != nil {
			return nil, err
		}
		users = security.Users(id, userns.Length)
	}
	return &runtimev1.PodSandboxConfig{
		Metadata:     &runtimev1.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: attempt},
		Hostname:     hostname,
		LogDirectory: LogDir(w.LogDir, pod.Namespace, pod.Name, pod.UID),
		DnsConfig:    resolver,
		PortMappings: portMappings(pod),
		Labels:       sandboxLabels(pod),
		Annotations:  pod.Annotations,
		Linux: &runtimev1.LinuxPodSandboxConfig{
			CgroupParent:    resource.CgroupParent(w.CgroupRoot, w.Slices, pod),
			SecurityContext: security.Sandbox(pod, security.Namespaces(pod, users), nil),
			Sysctls:         sysctls(pod),
			Resources:       resource.Sum(pod),
			Overhead:        resource.Overhead(pod),
		},
	}, nil
}

func sandboxLabels(pod *corev1.Pod) map[string]string {
	out := make(map[string]string, len(pod.Labels)+3)
	for k, v := range pod.Labels {
		out[k] = v
	}
	out[labels.KubernetesPodNameLabel] = pod.Name
	out[labels.KubernetesPodNamespaceLabel] = pod.Namespace
	out[labels.KubernetesPodUIDLabel] = string(pod.UID)
	return out
}

func sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[s.Name] = s.Value
	}
	return out
}

func portMappings(pod *corev1.Pod) []*runtimev1.PortMapping {
	if pod.Spec.HostNetwork {
		return nil
	}
	var out []*runtimev1.PortMapping
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				out = append(out, &runtimev1.PortMapping{Protocol: protocol(p.Protocol), ContainerPort: p.ContainerPort, HostPort: p.HostPort, HostIp: p.HostIP})
			}
		}
	}
	return out
}

func protocol(p corev1.Protocol) runtimev1.Protocol {
	switch p {
	case corev1.ProtocolUDP:
		return runtimev1.Protocol_UDP
	case corev1.ProtocolSCTP:
		return runtimev1.Protocol_SCTP
	}
	return runtimev1.Protocol_TCP
}

func (w *Worker) addresses() env.Addresses {
	return env.Addresses{HostIPs: w.HostIPs, PodIPs: status.PodIPs(w.spec, w.rt, w.HostIPs)}
}

// collect removes dead containers that nobody asks for any more: of each name the newest two attempts stay, for
// `logs` and `logs -p`; sandboxes that are not ready go once they are empty.
func (w *Worker) collect(ctx context.Context) {
	var containers, sandboxes []string
	seen, inhabited := map[string]int{}, map[string]bool{}
	for _, c := range w.rt.Containers {
		name := c.GetMetadata().GetName()
		if seen[name]++; seen[name] > 2 && c.Exited() && !w.isBusy(name) {
			containers = append(containers, c.GetId())
			continue
		}
		inhabited[c.SandboxID] = true
	}
	for i, s := range w.rt.Sandboxes {
		if i > 0 && !inhabited[s.GetId()] && s.GetState() != runtimev1.PodSandboxState_SANDBOX_READY {
			sandboxes = append(sandboxes, s.GetId())
		}
	}
	if len(containers)+len(sandboxes) == 0 {
		return
	}
	pod := w.rt
	w.spawn(ctx, taskClean, func(ctx context.Context) {
		for _, id := range containers {
			w.removeContainer(ctx, pod.ByID(id))
		}
		for _, id := range sandboxes {
			_, _ = w.Runtime.RemovePodSandbox(ctx, &runtimev1.RemovePodSandboxRequest{PodSandboxId: id}) // tried again at the next look
		}
		select { // what cannot be removed is not tried in a busy loop
		case <-ctx.Done():
		case <-time.After(retryFirst):
		}
	})
}

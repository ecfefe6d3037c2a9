package pod

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/env"
	"github.com/mayfly-run/mayfly/internal/node/image"
)

const hostsPath = "/etc/hosts"

// mounts are the container's volumes, its /etc/hosts and its termination message.
func (w *Worker) mounts(ctx context.Context, l launch, vars *env.Vars, ips []string) ([]*runtimev1.Mount, error) {
	var out []*runtimev1.Mount
	hosts := true
	for i := range l.container.VolumeMounts {
		m, err := w.volumeMount(ctx, l, i, vars)
		if err != nil {
			return nil, err
		}
		hosts = hosts && path.Clean(m.GetContainerPath()) != hostsPath
		out = append(out, m)
	}
	if hosts {
		m, err := w.hostsMount(l.pod, ips)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if l.container.TerminationMessagePath != "" {
		m, err := w.messageMount(l)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// mapUsers has files look inside as if the Pod's users were the host's: what the host's root owns is the Pod's root's,
// and what the Pod's users write has the IDs outside that they have inside.
func mapUsers(mounts []*runtimev1.Mount, users *runtimev1.UserNamespace) {
	for _, m := range mounts {
		if m.GetImage() == nil { // an image is read-only, and the runtime's
			m.UidMappings, m.GidMappings = users.GetUids(), users.GetGids()
		}
	}
}

func (w *Worker) volumeMount(ctx context.Context, l launch, index int, vars *env.Vars) (*runtimev1.Mount, error) {
	m := &l.container.VolumeMounts[index]
	target := m.MountPath
	if !path.IsAbs(target) {
		target = "/" + target
	}
	readOnly := m.ReadOnly || writtenByNode(l.pod, m.Name)
	out := &runtimev1.Mount{
		ContainerPath: target, Readonly: readOnly, Propagation: propagation(m.MountPropagation),
		RecursiveReadOnly: m.ReadOnly && m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled,
	}
	sub, err := subPath(m, vars)
	if err != nil {
		return nil, err
	}
	host, err := w.Volumes.Path(l.pod, m.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case host == "":
		return out, w.imageMount(ctx, l, m.Name, sub, out)
	case sub != "":
		out.HostPath, err = w.Volumes.SubPath(l.pod, m.Name, l.container.Name, index, sub)
		return out, err
	}
	out.HostPath = host
	if isHostPath(l.pod, m.Name) {
		return out, existing(host)
	}
	return out, nil
}

// subPath is the part of a volume to mount; $(NAME) in subPathExpr must all be known.
func subPath(m *corev1.VolumeMount, vars *env.Vars) (string, error) {
	if m.SubPathExpr == "" {
		return m.SubPath, nil
	}
	missing := ""
	out := env.Expand(m.SubPathExpr, func(name string) (string, bool) {
		value, ok := vars.Lookup(name)
		if !ok {
			missing = name
		}
		return value, ok
	})
	if missing != "" {
		return "", fmt.Errorf("missing value for %q in subPathExpr %q", missing, m.SubPathExpr)
	}
	return out, nil
}

func isHostPath(pod *corev1.Pod, name string) bool { return source(pod, name).HostPath != nil }

// writtenByNode says whether the node keeps the volume's content up to date, so that no container may write to it.
func writtenByNode(pod *corev1.Pod, name string) bool {
	s := source(pod, name)
	return s.ConfigMap != nil || s.Secret != nil || s.DownwardAPI != nil || s.Projected != nil
}

func source(pod *corev1.Pod, name string) corev1.VolumeSource {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return pod.Spec.Volumes[i].VolumeSource
		}
	}
	return corev1.VolumeSource{}
}

// existing makes a host path that is missing a directory, as runtimes do for mounts without a type.
func existing(host string) error {
	if _, err := os.Stat(host); !os.IsNotExist(err) {
		return nil
	}
	if err := os.MkdirAll(host, 0o755); err != nil {
		return fmt.Errorf("make hostPath directory: %w", err)
	}
	return nil
}

// imageMount fills a mount with the content of an image, pulled by the volume's policy.
func (w *Worker) imageMount(ctx context.Context, l launch, name, sub string, out *runtimev1.Mount) error {
	for i := range l.pod.Spec.Volumes {
		v := &l.pod.Spec.Volumes[i]
		if v.Name != name || v.Image == nil {
			continue
		}
		img, err := w.Images.Ensure(ctx, image.Request{
			Pod: l.pod, Image: v.Image.Reference, Policy: v.Image.PullPolicy, Sandbox: l.config,
			Auth: func(ctx context.Context, n string) ([]*runtimev1.AuthConfig, error) { return w.auth(ctx, l.pod, n) },
			Event: func(kind, reason, format string, args ...any) {
				w.event(l.pod, l.container.Name, kind, reason, format, args...)
			},
		})
		if err != nil {
			return fmt.Errorf("image of volume %q: %w", name, err)
		}
		out.Image = &runtimev1.ImageSpec{Image: img.GetId(), UserSpecifiedImage: v.Image.Reference}
		out.ImageSubPath, out.Readonly = sub, true
		return nil
	}
	return fmt.Errorf("volume %q is not in the pod", name)
}

func propagation(mode *corev1.MountPropagationMode) runtimev1.MountPropagation {
	if mode == nil {
		return runtimev1.MountPropagation_PROPAGATION_PRIVATE
	}
	switch *mode {
	case corev1.MountPropagationHostToContainer:
		return runtimev1.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
	case corev1.MountPropagationBidirectional:
		return runtimev1.MountPropagation_PROPAGATION_BIDIRECTIONAL
	}
	return runtimev1.MountPropagation_PROPAGATION_PRIVATE
}

// hostsMount writes the Pod's /etc/hosts if it is not as it should be; all containers of the Pod share it.
func (w *Worker) hostsMount(pod *corev1.Pod, ips []string) (*runtimev1.Mount, error) {
	text, err := w.DNS.Hosts(pod, ips)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(w.Volumes.PodDir(pod.UID), "etc-hosts")
	if have, err := os.ReadFile(file); err != nil || string(have) != string(text) {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return nil, fmt.Errorf("write hosts file: %w", err)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			return nil, fmt.Errorf("open hosts file to readers: %w", err)
		}
	}
	return &runtimev1.Mount{ContainerPath: hostsPath, HostPath: file}, nil
}

// messageMount makes an empty file that the container may write its termination message to, whoever it runs as.
func (w *Worker) messageMount(l launch) (*runtimev1.Mount, error) {
	file := w.messagePath(l.container.Name, l.attempt)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("make termination message: %w", err)
	}
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		return nil, fmt.Errorf("make termination message: %w", err)
	}
	if err := os.Chmod(file, 0o666); err != nil {
		return nil, fmt.Errorf("open termination message to writers: %w", err)
	}
	return &runtimev1.Mount{ContainerPath: l.container.TerminationMessagePath, HostPath: file}, nil
}

package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mayfly-run/mayfly/internal/node/env"
)

// Source gives the API objects that volumes are made of.
type Source interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// Token returns a token of the Pod's service account, kept until 80 % of its life has passed.
	Token(ctx context.Context, pod *corev1.Pod, want *corev1.ServiceAccountTokenProjection) (string, error)
}

// Facts are what the downward API tells beyond the Pod's object.
type Facts struct {
	Addresses   env.Addresses
	Allocatable corev1.ResourceList
}

// Set keeps the volumes of all Pods of a node below one directory.
type Set struct {
	root string
	src  Source
}

// New returns the Set below root (the node's directory, which holds pods/).
func New(root string, src Source) *Set { return &Set{root: root, src: src} }

// PodDir is the directory of everything that the node keeps for the Pod.
func (s *Set) PodDir(uid types.UID) string { return filepath.Join(s.root, "pods", string(uid)) }

// UIDs returns the Pods that have a directory.
func (s *Set) UIDs() ([]types.UID, error) {
	entries, err := os.ReadDir(filepath.Join(s.root, "pods"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pod directories: %w", err)
	}
	var uids []types.UID
	for _, e := range entries {
		uids = append(uids, types.UID(e.Name()))
	}
	return uids, nil
}

// Path is where the Pod's volume is on the host; empty for an image volume, which the runtime provides.
func (s *Set) Path(pod *corev1.Pod, name string) (string, error) {
	v := find(pod, name)
	switch {
	case v == nil:
		return "", fmt.Errorf("volume %q is not in the pod", name)
	case v.Image != nil:
		return "", nil
	case v.HostPath != nil:
		return v.HostPath.Path, nil
	}
	k := kind(v)
	if k == "" {
		k = "empty-dir"
	}
	return filepath.Join(s.PodDir(pod.UID), "volumes", "kubernetes.io~"+k, name), nil
}

func find(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

// Prepare makes or refreshes all volumes of the Pod.
func (s *Set) Prepare(ctx context.Context, pod *corev1.Pod, facts Facts) error {
	if err := os.MkdirAll(s.PodDir(pod.UID), 0o750); err != nil {
		return fmt.Errorf("make pod directory: %w", err)
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if err := s.prepare(ctx, pod, v, facts); err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", v.Name, err)
		}
	}
	return nil
}

// Refresh writes again what API objects may have changed.
func (s *Set) Refresh(ctx context.Context, pod *corev1.Pod, facts Facts) error {
	var errs []error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil {
			errs = append(errs, s.prepare(ctx, pod, v, facts))
		}
	}
	return errors.Join(errs...)
}

func (s *Set) prepare(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, facts Facts) error {
	path, err := s.Path(pod, v.Name)
	if err != nil || path == "" {
		return err
	}
	var gid *int64
	if sc := pod.Spec.SecurityContext; sc != nil {
		gid = sc.FSGroup
	}
	switch {
	case v.HostPath != nil:
		return prepareHostPath(v.HostPath)
	case v.ConfigMap != nil, v.Secret != nil, v.DownwardAPI != nil, v.Projected != nil:
		return s.prepareFiles(ctx, pod, v, path, facts, gid)
	}
	return prepareEmptyDir(v.EmptyDir, path, gid)
}

func (s *Set) prepareFiles(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, path string, facts Facts, gid *int64) error {
	p := &payload{pod: pod, src: s.src, facts: facts, files: map[string]file{}}
	if err := p.collect(ctx, v); err != nil {
		return err
	}
	if gid != nil {
		for name, f := range p.files {
			f.mode |= f.mode & 0o400 >> 3 // the group reads what the owner reads
			p.files[name] = f
		}
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make volume directory: %w", err)
	}
	if v.Secret != nil || v.Projected != nil {
		if err := mountTmpfs(path, 0, 0o755); err != nil { // what is secret stays off the disk
			return err
		}
	}
	return writeAtomic(path, p.files, gid)
}

// Remove unmounts and deletes everything of the Pod. It never follows a mount that it could not undo.
func (s *Set) Remove(uid types.UID) error { return removeTree(s.PodDir(uid)) }

// Purge unmounts everything below root. Files stay: what is on disk is there again when the node is.
func Purge(root string) error {
	dir := filepath.Join(root, "pods")
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return unmountBelow(dir)
}

func removeTree(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove pod directory: %w", err)
	}
	return nil
}

// unmountBelow undoes every mount in dir, the deepest and latest first.
func unmountBelow(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("resolve pod directory: %w", err)
	}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, real+"/"), false
	})
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		err := unix.Unmount(mounts[i].Mountpoint, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) { // gone with the mount that it was on
			return fmt.Errorf("unmount %s: %w", mounts[i].Mountpoint, err)
		}
	}
	return nil
}

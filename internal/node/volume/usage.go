package volume

import (
	"context"
	"io/fs"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Limited tells whether the Pod has an emptyDir on disk with a size limit.
func Limited(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if limit(&pod.Spec.Volumes[i]) != nil {
			return true
		}
	}
	return false
}

// limit is nil if the volume has none, or the kernel keeps it.
func limit(v *corev1.Volume) *resource.Quantity {
	if v.EmptyDir == nil || v.EmptyDir.Medium != corev1.StorageMediumDefault || v.EmptyDir.SizeLimit == nil || v.EmptyDir.SizeLimit.IsZero() {
		return nil
	}
	return v.EmptyDir.SizeLimit
}

// Overfull names the first emptyDir on disk that takes more than its limit, and the limit; the name is empty if there
// is none.
func (s *Set) Overfull(ctx context.Context, pod *corev1.Pod) (name string, most resource.Quantity) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		most := limit(v)
		if most == nil {
			continue
		}
		if path, err := s.Path(pod, v.Name); err == nil && usage(ctx, path) > most.Value() {
			return v.Name, *most
		}
	}
	return "", resource.Quantity{}
}

// usage is what the files below dir take on disk, in bytes. Files with several names count once; what vanishes
// meanwhile does not count.
func usage(ctx context.Context, dir string) int64 {
	type file struct{ device, inode uint64 }
	seen := map[file]bool{}
	var bytes int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone, or not to be read
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			id := file{stat.Dev, stat.Ino}
			if stat.Nlink > 1 && !d.IsDir() {
				if seen[id] {
					return ctx.Err()
				}
				seen[id] = true
			}
			bytes += stat.Blocks * 512
		}
		return ctx.Err()
	})
	return bytes
}

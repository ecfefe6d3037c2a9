package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// files warns of files that get in each other's way: of one volume, two may have the same path, or one be the directory
// of another.
func (w *warnings) files(volumes []corev1.Volume) {
	for i := range volumes {
		v := &volumes[i]
		switch {
		case v.ConfigMap != nil:
			w.overlaps(fmt.Sprintf("volume %q (ConfigMap %q): overlapping paths", v.Name, v.ConfigMap.Name), keyPaths(v.ConfigMap.Items))
		case v.Secret != nil:
			w.overlaps(fmt.Sprintf("volume %q (Secret %q): overlapping paths", v.Name, v.Secret.SecretName), keyPaths(v.Secret.Items))
		case v.DownwardAPI != nil:
			w.overlaps(fmt.Sprintf("volume %q (DownwardAPI): overlapping paths", v.Name), filePaths(v.DownwardAPI.Items))
		case v.Projected != nil:
			w.projectedFiles(v.Name, v.Projected.Sources)
		}
	}
}

func (w *warnings) projectedFiles(volume string, sources []corev1.VolumeProjection) {
	var all []string
	for i := range sources {
		what, paths := projectionPaths(&sources[i])
		if what == "" {
			*w = append(*w, fmt.Sprintf("volume %q (Projected) has no sources provided", volume))
		}
		if len(paths) == 0 {
			continue
		}
		text := fmt.Sprintf("volume %q (Projected %s): overlapping paths", volume, what)
		w.overlaps(text, paths)
		// Against those of the sources before, in an order that does not depend on theirs.
		own := slices.Compact(slices.Sorted(slices.Values(paths)))
		w.overlaps(text, slices.Sorted(slices.Values(slices.Concat(own, all))))
		all = append(all, own...)
	}
}

// projectionPaths names a source and the files that it makes; the name is empty for none.
func projectionPaths(s *corev1.VolumeProjection) (string, []string) {
	switch {
	case s.ConfigMap != nil:
		return fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name), keyPaths(s.ConfigMap.Items)
	case s.Secret != nil:
		return fmt.Sprintf("Secret %q", s.Secret.Name), keyPaths(s.Secret.Items)
	case s.DownwardAPI != nil:
		return "DownwardAPI", filePaths(s.DownwardAPI.Items)
	case s.ServiceAccountToken != nil:
		return "ServiceAccountToken", []string{s.ServiceAccountToken.Path}
	case s.ClusterTrustBundle != nil:
		name := s.ClusterTrustBundle.Name
		if name == nil {
			name = s.ClusterTrustBundle.SignerName
		}
		if name == nil {
			name = new("")
		}
		return fmt.Sprintf("ClusterTrustBundle %q", *name), []string{s.ClusterTrustBundle.Path}
	case s.PodCertificate != nil:
		return "PodCertificate", nil
	}
	return "", nil
}

func keyPaths(items []corev1.KeyToPath) []string {
	var paths []string
	for _, item := range items {
		paths = append(paths, item.Path)
	}
	return paths
}

func filePaths(items []corev1.DownwardAPIVolumeFile) []string {
	var paths []string
	for _, item := range items {
		paths = append(paths, item.Path)
	}
	return paths
}

func (w *warnings) overlaps(text string, paths []string) {
	var before []string
	for _, path := range paths {
		path = strings.TrimRight(path, "/")
		if i := slices.IndexFunc(before, func(other string) bool { return collide(other, path) }); i >= 0 {
			*w = append(*w, fmt.Sprintf("%s: %q with %q", text, path, before[i]))
		}
		before = append(before, path)
	}
}

func collide(a, b string) bool {
	return a != "" && b != "" && (strings.HasPrefix(a+"/", b) || strings.HasPrefix(b+"/", a))
}

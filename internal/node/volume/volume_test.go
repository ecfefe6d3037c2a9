package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

type source struct {
	data map[string]string
}

func (s *source) ConfigMap(_ context.Context, _, name string) (*corev1.ConfigMap, error) {
	if name != "cm" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, name)
	}
	return &corev1.ConfigMap{Data: s.data}, nil
}

func (s *source) Secret(context.Context, string, string) (*corev1.Secret, error) {
	return &corev1.Secret{Data: map[string][]byte{"k": []byte("hush")}}, nil
}

func (s *source) Token(_ context.Context, _ *corev1.Pod, want *corev1.ServiceAccountTokenProjection) (string, error) {
	return "token for " + want.Audience, nil
}

func newSet(t *testing.T, s *source) *Set {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: it needs root")
	}
	set := New(t.TempDir(), s)
	t.Cleanup(func() {
		if err := set.Remove("u"); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return set
}

func podWith(volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", Labels: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{Volumes: volumes, Containers: []corev1.Container{{Name: "c"}}}}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestConfigMapIsRefreshed(t *testing.T) {
	src := &source{data: map[string]string{"a": "1", "b": "2"}}
	set := newSet(t, src)
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}})
	if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	dir, err := set.Path(pod, "v")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "a")) + read(t, filepath.Join(dir, "b")); got != "12" {
		t.Errorf("content %q", got)
	}
	first, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := set.Refresh(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.Readlink(filepath.Join(dir, "..data")); again != first {
		t.Error("written anew although nothing changed")
	}
	src.data = map[string]string{"a": "3"}
	if err := set.Refresh(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "a")); got != "3" {
		t.Errorf("content %q", got)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 3 { // ..data, its target, a
		t.Errorf("left over: %v", entries)
	}
}

func TestProjected(t *testing.T) {
	set := newSet(t, &source{data: map[string]string{"ca.crt": "CA"}})
	user := int64(1234)
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "x"}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "deep/ca.crt"}}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}},
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}},
	}}}})
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user}
	if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	dir, _ := set.Path(pod, "v")
	for name, want := range map[string]string{"token": "token for x", "deep/ca.crt": "CA", "labels": `a="b"`, "k": "hush"} {
		if got := read(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token: %v %v", info.Mode(), err)
	}
	if ok, err := mountinfo.Mounted(dir); err != nil || !ok {
		t.Errorf("secrets are on the disk: %v", err)
	}
	if err := set.Remove("u"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(set.PodDir("u")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left over: %v", err)
	}
}

// TestTokenOwner: a token belongs to the user that all containers run as, and the group of the volumes may read it.
func TestTokenOwner(t *testing.T) {
	user, group := int64(1234), int64(4321)
	for name, c := range map[string]struct {
		user, group *int64
		uid, gid    uint32
		mode        os.FileMode
	}{
		"nobody's":       {mode: 0o644},
		"the user's":     {user: &user, uid: 1234, mode: 0o600},
		"the group's":    {group: &group, gid: 4321, mode: 0o640},
		"user and group": {user: &user, group: &group, uid: 1234, gid: 4321, mode: 0o640},
	} {
		t.Run(name, func(t *testing.T) {
			set := newSet(t, &source{})
			mode := int32(0o644)
			pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				DefaultMode: &mode, Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
			}}})
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: c.user, FSGroup: c.group}
			if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
				t.Fatal(err)
			}
			dir, _ := set.Path(pod, "v")
			info, err := os.Stat(filepath.Join(dir, "token"))
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t); owner.Uid != c.uid || owner.Gid != c.gid || info.Mode().Perm() != c.mode {
				t.Errorf("%d:%d %v", owner.Uid, owner.Gid, info.Mode())
			}
		})
	}
}

func TestEmptyDirInMemory(t *testing.T) {
	set := newSet(t, nil)
	size := resource.MustParse("64Ki")
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &size}}})
	for range 2 {
		if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
			t.Fatal(err)
		}
	}
	dir, _ := set.Path(pod, "v")
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 128<<10), 0o600); err == nil {
		t.Error("the size limit does not hold")
	}
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil || len(mounts) != 1 {
		t.Errorf("mounted %d times: %v", len(mounts), err)
	}
}

func TestHostPathTypes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		kind corev1.HostPathType
		err  string
	}{
		"unset":         {filepath.Join(dir, "no"), corev1.HostPathUnset, ""},
		"directory":     {dir, corev1.HostPathDirectory, ""},
		"not directory": {file, corev1.HostPathDirectory, "hostPath type check failed"},
		"missing":       {filepath.Join(dir, "no"), corev1.HostPathFile, "hostPath type check failed"},
		"created dir":   {filepath.Join(dir, "new/dir"), corev1.HostPathDirectoryOrCreate, ""},
		"created file":  {filepath.Join(dir, "newfile"), corev1.HostPathFileOrCreate, ""},
		"char device":   {"/dev/null", corev1.HostPathCharDev, ""},
		"not a block":   {"/dev/null", corev1.HostPathBlockDev, "block device"},
	} {
		t.Run(name, func(t *testing.T) {
			err := prepareHostPath(&corev1.HostPathVolumeSource{Path: c.path, Type: &c.kind})
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestSubPath(t *testing.T) {
	set := newSet(t, nil)
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	dir, _ := set.Path(pod, "v")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "real"), 0o755),
		os.WriteFile(filepath.Join(dir, "real/file"), []byte("x"), 0o644),
		os.Symlink("/etc", filepath.Join(dir, "absolute")),
		os.Symlink("../../../../../../../etc", filepath.Join(dir, "relative")),
		os.Symlink("real", filepath.Join(dir, "inside")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, sub := range []string{"real", "real/file", "inside/file", "new/deep", "real"} {
		target, err := set.SubPath(pod, "v", "c", i, sub)
		if err != nil {
			t.Errorf("%s: %v", sub, err)
			continue
		}
		if strings.HasSuffix(sub, "file") && read(t, target) != "x" {
			t.Errorf("%s is not the file", sub)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "new/deep")); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a part that was made has not the volume's mode: %v %v", info, err)
	}
	if _, err := set.SubPath(pod, "v", "c", 0, "real/file"); err != nil {
		t.Errorf("a file where a directory was: %v", err)
	}
	for _, sub := range []string{"absolute", "absolute/passwd", "relative", "../x", "relative/new"} {
		if _, err := set.SubPath(pod, "v", "c", 9, sub); err == nil {
			t.Errorf("%s left the volume", sub)
		}
	}
	if err := set.Remove("u"); err != nil {
		t.Fatal(err)
	}
	if mounts, _ := mountinfo.GetMounts(mountinfo.PrefixFilter(set.root)); len(mounts) != 0 {
		t.Errorf("mounts left: %v", mounts)
	}
}

// TestEmptyDirIsThePods holds that a volume in use is left as its containers have made it.
func TestEmptyDirIsThePods(t *testing.T) {
	for medium, sticky := range map[corev1.StorageMedium]os.FileMode{corev1.StorageMediumDefault: 0, corev1.StorageMediumMemory: os.ModeSticky} {
		set, gid := newSet(t, nil), int64(4321)
		pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: medium}}})
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &gid}
		if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
			t.Fatal(err)
		}
		dir, _ := set.Path(pod, "v")
		info, err := os.Stat(dir)
		if err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|sticky|0o777 || info.Sys().(*syscall.Stat_t).Gid != 4321 {
			t.Errorf("%q at first: %v %v", medium, info.Mode(), err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := set.Prepare(t.Context(), pod, Facts{}); err != nil { // by an agent that was started again
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q later: %v %v", medium, info.Mode(), err)
		}
	}
}

func TestPurgeKeepsFiles(t *testing.T) {
	set := newSet(t, nil)
	pod := podWith(
		corev1.Volume{Name: "disk", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		corev1.Volume{Name: "memory", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
	)
	if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	disk, _ := set.Path(pod, "disk")
	if err := os.WriteFile(filepath.Join(disk, "data"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Purge(set.root); err != nil {
		t.Fatal(err)
	}
	memory, _ := set.Path(pod, "memory")
	if mounted, err := mountinfo.Mounted(memory); err != nil || mounted {
		t.Errorf("mounted: %v %v", mounted, err)
	}
	if got := read(t, filepath.Join(disk, "data")); got != "x" {
		t.Errorf("data: %q", got)
	}
}

func TestRemoveKeepsWhatIsMounted(t *testing.T) {
	set := newSet(t, nil)
	precious := t.TempDir()
	if err := os.WriteFile(filepath.Join(precious, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: precious}}})
	if err := set.Prepare(t.Context(), pod, Facts{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.SubPath(pod, "v", "c", 0, "."); err != nil {
		t.Fatal(err)
	}
	if err := set.Remove("u"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(precious, "data")); err != nil {
		t.Errorf("the host's data is gone: %v", err)
	}
}

func TestUnsupported(t *testing.T) {
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}}})
	if err := Unsupported(pod); err == nil || !strings.Contains(err.Error(), `volume "v" is of type nfs`) {
		t.Errorf("error %v", err)
	}
	if err := Unsupported(podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})); err != nil {
		t.Error(err)
	}
}

func TestWriteAtomicRefusesEscape(t *testing.T) {
	for _, name := range []string{"../x", "/x", "..data", "a/../../b"} {
		if err := writeAtomic(t.TempDir(), map[string]file{name: {mode: 0o644}}, nil); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func ExampleUnsupported() {
	pod := podWith(corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}})
	fmt.Println(Unsupported(pod))
	// Output: volume "data" is of type persistentVolumeClaim, which this node does not support (supported: emptyDir, hostPath, configMap, secret, downwardAPI, projected, image)
}

package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxSize bounds a manifest, in bytes, as the kubelet does.
	maxSize = 10 << 20
	// rereadPeriod is after how long the directory is read though nothing was heard of it: it may be another one by
	// then, or be on a file system that tells nothing.
	rereadPeriod = 20 * time.Second
)

// Directory holds a manifest in each file. Names that begin with a dot are left out, and directories.
type Directory struct {
	// Path of the directory; empty is one without files.
	Path string
	Node string
	// Complete fills in defaults, and refuses what is no valid Pod; it may be nil.
	Complete func(*corev1.Pod) error

	last    map[string]*corev1.Pod // by file
	refused map[string]string      // what was said of a file already
}

// Read returns the static Pods by name. A file that is not valid any more, or that is being written, stands for what it
// was before.
func (d *Directory) Read(ctx context.Context) (map[types.NamespacedName]*corev1.Pod, error) {
	if d.Path == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, fmt.Errorf("read static pods: %w", err)
	}
	now, refused := map[string]*corev1.Pod{}, map[string]string{}
	pods := map[types.NamespacedName]*corev1.Pod{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		pod, err := d.file(e.Name())
		if err == nil && pod == nil {
			continue
		}
		if err != nil {
			if refused[e.Name()] = err.Error(); d.refused[e.Name()] != err.Error() {
				slog.WarnContext(ctx, "not a static pod", "file", filepath.Join(d.Path, e.Name()), "err", err)
			}
			if pod = d.last[e.Name()]; pod == nil {
				continue
			}
		}
		now[e.Name()] = pod
		name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
		if pods[name] != nil {
			slog.WarnContext(ctx, "static pod has the name of another", "file", filepath.Join(d.Path, e.Name()), "namespace", pod.Namespace, "pod", pod.Name)
			continue
		}
		pods[name] = pod
	}
	d.last, d.refused = now, refused
	return pods, nil
}

// file reads one; nil is what is no file.
func (d *Directory) file(name string) (*corev1.Pod, error) {
	f, err := os.Open(filepath.Join(d.Path, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxSize {
		return nil, fmt.Errorf("larger than %d bytes", maxSize)
	}
	pod, err := Decode(content, name, d.Node)
	if err == nil && d.Complete != nil {
		err = d.Complete(pod)
	}
	return pod, err
}

// Watch calls changed whenever the directory may have changed, until ctx ends.
func (d *Directory) Watch(ctx context.Context, changed func()) error {
	if d.Path == "" {
		<-ctx.Done()
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch static pods: %w", err)
	}
	defer watcher.Close()
	reread := time.NewTicker(rereadPeriod)
	defer reread.Stop()
	for {
		if err := watcher.Add(d.Path); err != nil {
			slog.DebugContext(ctx, "static pods are not watched", "directory", d.Path, "err", err)
		}
		changed()
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
		case <-watcher.Errors:
		case <-reread.C:
		}
	}
}

package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/image"
)

// collectPeriod is how often unused images are looked at, as by the kubelet.
const collectPeriod = 5 * time.Minute

// keepImagesFew removes unused images when their disk is short of space, until ctx ends.
func (a *Agent) keepImagesFew(ctx context.Context, recorder record.EventRecorder) {
	self := &corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: a.cfg.NodeName, UID: types.UID(a.cfg.NodeName)}
	collector := image.Collector{Images: a.runtime.Images, High: a.cfg.ImageGCHigh, Low: a.cfg.ImageGCLow, Used: a.usedImages, Disk: diskSpace}
	ticker := time.NewTicker(collectPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := collector.Collect(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "unused images not removed", "err", err)
			recorder.Event(self, corev1.EventTypeWarning, "ImageGCFailed", err.Error())
		}
	}
}

// usedImages are those of all containers that the runtime knows, and those that the node's Pods name.
func (a *Agent) usedImages(ctx context.Context) ([]string, error) {
	list, err := a.runtime.ListContainers(ctx, &runtimev1.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var used []string
	for _, c := range list.GetContainers() {
		used = append(used, c.GetImageId(), c.GetImageRef(), c.GetImage().GetImage())
	}
	for _, w := range a.pods.List() {
		spec := &w.Pod().Spec
		for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for _, c := range containers {
				used = append(used, c.Image)
			}
		}
		for _, c := range spec.EphemeralContainers {
			used = append(used, c.Image)
		}
		for _, v := range spec.Volumes {
			if v.Image != nil {
				used = append(used, v.Image.Reference)
			}
		}
	}
	return used, nil
}

// diskSpace tells the size of the file system at path and what is free of it for everybody, in bytes.
func diskSpace(path string) (size, free int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, 0, fmt.Errorf("measure file system at %s: %w", path, err)
	}
	return int64(fs.Blocks) * fs.Bsize, int64(fs.Bavail) * fs.Bsize, nil
}

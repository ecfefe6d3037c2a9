package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/log"
)

const rotatePeriod = 10 * time.Second

// keepLogsSmall rotates the logs of running containers until ctx ends.
func (a *Agent) keepLogsSmall(ctx context.Context) {
	rotator := log.Rotator{MaxSize: a.cfg.LogMaxSize, MaxFiles: a.cfg.LogMaxFiles, Reopen: func(ctx context.Context, id string) error {
		_, err := a.runtime.ReopenContainerLog(ctx, &runtimev1.ReopenContainerLogRequest{ContainerId: id})
		return err
	}}
	ticker := time.NewTicker(rotatePeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, w := range a.pods.List() {
			rt := w.Observed()
			if rt == nil {
				continue
			}
			for _, c := range rt.Containers {
				path := w.LogPath(c)
				if !c.Running() || filepath.Ext(path) != ".log" {
					continue
				}
				if err := rotator.Rotate(ctx, c.GetId(), path); err != nil && ctx.Err() == nil {
					slog.WarnContext(ctx, "log not rotated", "path", path, "err", err)
				}
			}
		}
	}
}

package cri

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/stream"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

const (
	// maxExecOutput bounds each stream of an ExecSync answer (CVE-2022-1708).
	maxExecOutput = 16 << 20
	// killWait is how long a killed command may take to be gone.
	killWait = 10 * time.Second
)

// ExecSync runs a command in a container and returns its output. One that outlives its timeout is killed.
func (s *Server) ExecSync(ctx context.Context, r *runtimev1.ExecSyncRequest) (*runtimev1.ExecSyncResponse, error) {
	c, err := s.runningContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	process, err := s.containers.Exec(ctx, c, r.GetCmd(), container.Streams{Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("exec in container %q: %w", c.ID, err)
	}
	ended := make(chan struct{})
	stdout, stderr := stream.Capped{Limit: maxExecOutput}, stream.Capped{Limit: maxExecOutput}
	var copying sync.WaitGroup
	copying.Go(func() { _ = stream.Pump(&stdout, process.Stdout, ended); process.Stdout.Close() })
	copying.Go(func() { _ = stream.Pump(&stderr, process.Stderr, ended); process.Stderr.Close() })
	code, err := s.waitFor(ctx, process, time.Duration(r.GetTimeout())*time.Second)
	close(ended)
	copying.Wait()
	if err != nil {
		return nil, err
	}
	return &runtimev1.ExecSyncResponse{Stdout: stdout.Bytes, Stderr: stderr.Bytes, ExitCode: int32(code)}, nil
}

// waitFor waits for the end of a command, and kills it when it takes longer than timeout (0 is no limit) or the client
// has left.
func (s *Server) waitFor(ctx context.Context, process *monitor.Process, timeout time.Duration) (int, error) {
	waitCtx := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		waitCtx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	code, err := process.Wait(waitCtx)
	if err == nil || waitCtx.Err() == nil {
		return code, err
	}
	killCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
	defer cancel()
	if killErr := s.containers.Kill(killCtx, process); killErr == nil {
		_, _ = process.Wait(killCtx) // how it ended is known
	}
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 0, status.Errorf(codes.DeadlineExceeded, "command timed out: timeout %s exceeded", timeout)
	}
	return 0, ctx.Err()
}

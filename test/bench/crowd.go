package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/test/harness"
)

const (
	// crowdSize is how many sandboxes are made, with a container each.
	crowdSize = 500
	// crowdEdge is how many of the first and of the last are compared: one alone says little.
	crowdEdge = 25
)

// crowd measures whether a sandbox with a container takes longer where hundreds are already. The instance is one of its
// own, so that none of what was measured before counts.
func (b *bench) crowd(ctx context.Context) (err error) {
	instance, err := harness.New(b.tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	instance.PodCIDRs = []string{"198.19.128.0/21"} // room for all
	if err := instance.Up(ctx); err != nil {
		return err
	}
	if err := instance.Import(ctx, b.archives.All()...); err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix://"+instance.RuntimeSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	r := &runtimeClient{runtimev1.NewRuntimeServiceClient(conn), filepath.Join(instance.Dir, "bench-logs")}
	var samples []float64
	var pods []string
	for i := range crowdSize {
		start := time.Now()
		config := r.sandbox(fmt.Sprintf("crowd-%d", i))
		answer, err := r.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: config})
		if err != nil {
			return fmt.Errorf("sandbox %d: %w", i, err)
		}
		if _, err := r.start(ctx, answer.GetPodSandboxId(), config, "app", "sleep", "1000000"); err != nil {
			return fmt.Errorf("container %d: %w", i, err)
		}
		samples, pods = append(samples, milliseconds(time.Since(start))), append(pods, answer.GetPodSandboxId())
	}
	first, last := middle(samples[:crowdEdge]), middle(samples[crowdSize-crowdEdge:])
	b.single(fmt.Sprintf("CRI: sandbox and container, the first of %d", crowdSize), "ms", first, nil)
	b.single(fmt.Sprintf("CRI: the last of %d, to the first", crowdSize), "times", last/first, atMost(1.5))
	return b.dissolve(ctx, r, pods)
}

// dissolve measures how long it takes to remove all again, ten at a time.
func (b *bench) dissolve(ctx context.Context, r *runtimeClient, pods []string) error {
	start := time.Now()
	workers, working := errgroup.WithContext(ctx)
	workers.SetLimit(10)
	for _, pod := range pods {
		workers.Go(func() error {
			_, err := r.RemovePodSandbox(working, &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod})
			return err
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	b.single("CRI: sandboxes removed, ten at a time", "per second", float64(len(pods))/time.Since(start).Seconds(), nil)
	return nil
}

// middle is the median.
func middle(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return percentile(sorted, 50)
}

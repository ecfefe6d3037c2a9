package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pause lies between two ephemeral containers, so that none pays for the events of the one before.
const pause = 50 * time.Millisecond

// ephemeral measures from the PATCH until the client's watch shows the container running: in Pods that have had none or
// few before, as people debug them, and in one that has had dozens.
func (b *bench) ephemeral(ctx context.Context, c *client) error {
	const few, dozens = 5, 30
	var samples []float64
	for i := 0; len(samples) < b.runs; i++ {
		some, err := b.debug(ctx, c, fmt.Sprintf("target-%d", i), min(few, b.runs-len(samples)))
		if err != nil {
			return err
		}
		samples = append(samples, some...)
	}
	b.add("ephemeral container: PATCH → running, seen by a watch", "ms", samples, atMost(15), atMost(40))
	many, err := b.debug(ctx, c, "target", dozens+b.runs)
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("the same in a Pod that has had %d", dozens), "ms", many[dozens:], nil, nil)
	return nil
}

// debug adds ephemeral containers to a new Pod, one after the other.
func (b *bench) debug(ctx context.Context, c *client, name string, times int) (samples []float64, err error) {
	if err := c.start(ctx, name); err != nil {
		return nil, err
	}
	w, err := c.watchPod(ctx, name)
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	for i := range times {
		container := fmt.Sprintf("debugger-%d", i)
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []any{map[string]any{
			"name": container, "image": "busybox", "imagePullPolicy": "Never", "command": []string{"sleep", "1000000"}, "targetContainerName": "app",
		}}}})
		if err != nil {
			return nil, err
		}
		time.Sleep(pause)
		start := time.Now()
		if _, err := c.CoreV1().Pods(namespace).Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "ephemeralcontainers"); err != nil {
			return nil, err
		}
		if err := until(ctx, w, func(p *corev1.Pod) bool { return debuggerRuns(p, container) }); err != nil {
			return nil, fmt.Errorf("ephemeral container %s: %w", container, err)
		}
		samples = append(samples, milliseconds(time.Since(start)))
	}
	return samples, c.remove(ctx, name)
}

func debuggerRuns(p *corev1.Pod, name string) bool {
	for _, s := range p.Status.EphemeralContainerStatuses {
		if s.Name == name {
			return s.State.Running != nil
		}
	}
	return false
}

// pods measures from the creation of a Pod until the client's watch shows it running.
func (b *bench) pods(ctx context.Context, c *client) error {
	var samples []float64
	for i := range b.runs {
		name := fmt.Sprintf("single-%d", i)
		start := time.Now()
		if err := c.start(ctx, name); err != nil {
			return fmt.Errorf("Pod %s: %w", name, err)
		}
		samples = append(samples, milliseconds(time.Since(start)))
		if err := c.remove(ctx, name); err != nil {
			return err
		}
	}
	b.add("Pod: create → running, seen by a watch", "ms", samples, atMost(40), nil)
	return nil
}

// commands measures exec of a program that does nothing, connection and all.
func (b *bench) commands(ctx context.Context, c *client) error {
	const name = "commanded"
	if err := c.start(ctx, name); err != nil {
		return err
	}
	var samples []float64
	for range b.runs {
		start := time.Now()
		if err := c.exec(ctx, name, io.Discard, "true"); err != nil {
			return err
		}
		samples = append(samples, milliseconds(time.Since(start)))
	}
	b.add("exec true", "ms", samples, atMost(8), nil)
	return c.remove(ctx, name)
}

// throughput measures how fast the output of a command arrives.
func (b *bench) throughput(ctx context.Context, c *client) error {
	const name, size = "flooding", 128 << 20
	if err := c.start(ctx, name); err != nil {
		return err
	}
	var samples []float64
	for range max(3, b.runs/3) {
		var counted counter
		start := time.Now()
		if err := c.exec(ctx, name, &counted, "dd", "if=/dev/zero", "bs=1M", fmt.Sprint("count=", size>>20)); err != nil {
			return err
		}
		if counted != size {
			return fmt.Errorf("exec lost output: %d of %d bytes arrived", counted, size)
		}
		samples = append(samples, float64(size)/1e6/time.Since(start).Seconds())
	}
	b.add("exec stdout", "MB/s", samples, atLeast(150), nil)
	return c.remove(ctx, name)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// many measures Pods per second, ten at a time, and what each takes in memory beside its application.
func (b *bench) many(ctx context.Context, c *client) error {
	const atATime = 10
	total := max(50, b.runs)
	before, err := c.footprint(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	workers, working := errgroup.WithContext(ctx)
	workers.SetLimit(atATime)
	for i := range total {
		workers.Go(func() error { return c.start(working, fmt.Sprintf("many-%d", i)) })
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	b.single("Pods started, ten at a time", "per second", float64(total)/time.Since(start).Seconds(), atLeast(40))
	after, err := c.footprint(ctx)
	if err != nil {
		return err
	}
	b.single(fmt.Sprintf("memory of a Pod beyond its application, of %d", total), "MB", (after-before)/float64(total), atMost(2))
	return nil
}

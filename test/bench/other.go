package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeReady waits until the node is Ready, as a client sees it.
func (c *client) nodeReady(ctx context.Context) error {
	w, err := c.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer w.Stop()
	timeout := time.After(patience)
	for {
		select {
		case event, open := <-w.ResultChan():
			if !open {
				return fmt.Errorf("the watch of nodes ended")
			}
			if node, ok := event.Object.(*corev1.Node); ok && isReady(node) {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("the node is not Ready after %s", patience)
		}
	}
}

func isReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// others measures, for comparison, what the machine takes for a process that does nothing, and for a container that
// does nothing in the runtimes that the host has, from start to end.
func (b *bench) others(ctx context.Context) error {
	var samples []float64
	for range b.runs {
		start := time.Now()
		if err := exec.CommandContext(ctx, b.tools.Busybox, "true").Run(); err != nil {
			return fmt.Errorf("busybox true: %w", err)
		}
		samples = append(samples, milliseconds(time.Since(start)))
	}
	b.add("for comparison: a plain process, busybox true", "ms", samples, nil, nil)
	for _, name := range []string{"crun", "runc"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if err := b.other(ctx, name, program); err != nil {
			b.lack("for comparison: "+name+" run true", err)
		}
	}
	return nil
}

func (b *bench) other(ctx context.Context, name, program string) error {
	bundle, err := b.bundle(ctx, program)
	if err != nil {
		return err
	}
	defer os.RemoveAll(bundle)
	var samples []float64
	for i := range b.runs {
		cmd := exec.CommandContext(ctx, program, "--root", filepath.Join(bundle, "state"), "run", fmt.Sprintf("mayfly-bench-%d-%d", os.Getpid(), i))
		var said strings.Builder
		cmd.Dir, cmd.Stderr = bundle, &said
		start := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
		}
		samples = append(samples, milliseconds(time.Since(start)))
	}
	b.add("for comparison: "+name+" run true", "ms", samples, nil, nil)
	return nil
}

// bundle makes an OCI bundle of busybox that runs true without a terminal.
func (b *bench) bundle(ctx context.Context, program string) (string, error) {
	dir, err := os.MkdirTemp("", "mayfly-bench-")
	if err != nil {
		return "", err
	}
	spec := exec.CommandContext(ctx, program, "spec")
	spec.Dir = dir
	if out, err := spec.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	busybox, err := os.ReadFile(b.tools.Busybox)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(bin, "true"), busybox, 0o755); err != nil {
		return "", err
	}
	return dir, configure(filepath.Join(dir, "config.json"))
}

// configure changes what `spec` wrote: no terminal, and true for a command.
func configure(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		return err
	}
	process, ok := config["process"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no process", file)
	}
	process["terminal"], process["args"] = false, []string{"/bin/true"}
	if data, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/test/harness"
)

// starts measures starts, first ones and second ones, and the memory of a fresh instance.
func (b *bench) starts(ctx context.Context) error {
	var first, second, resident, anonymous []float64
	for range b.runs {
		if err := b.startTwice(ctx, &first, &second, &resident, &anonymous); err != nil {
			return err
		}
	}
	b.add("first up → node Ready", "ms", first, atMost(1000), nil)
	b.add("second up → node Ready", "ms", second, atMost(500), nil)
	b.add("resident memory of a fresh up", "MB", resident, atMost(160), nil)
	b.add("of which anonymous", "MB", anonymous, atMost(80), nil)
	return nil
}

// settle is how long a fresh instance idles before its memory is read.
const settle = time.Second

func (b *bench) startTwice(ctx context.Context, first, second, resident, anonymous *[]float64) (err error) {
	instance, err := harness.New(b.tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	for _, samples := range []*[]float64{first, second} {
		start := time.Now()
		if err := instance.Up(ctx); err != nil {
			return err
		}
		c, err := connect(instance)
		if err != nil {
			return err
		}
		if err := c.nodeReady(ctx); err != nil {
			return err
		}
		*samples = append(*samples, milliseconds(time.Since(start)))
		if samples == first {
			time.Sleep(settle)
			*resident = append(*resident, memory(instance.PID(), "status", "VmRSS"))
			*anonymous = append(*anonymous, memory(instance.PID(), "status", "RssAnon"))
		}
		if _, _, err := instance.Signal(15); err != nil {
			return err
		}
	}
	return nil
}

// memory reads a size from a file of /proc/PID, in MB.
func memory(pid int, file, field string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	match := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+) kB$`).FindSubmatch(text)
	if match == nil {
		return 0
	}
	kilobytes, _ := strconv.Atoi(string(match[1]))
	return float64(kilobytes) * 1024 / 1e6
}

// footprint is the memory, in MB, of all processes of an instance that are not applications: what is in use of the
// daemon's heap, whatever of it the collector has not yet cleared away, and the monitors' proportional share.
func (c *client) footprint(ctx context.Context) (float64, error) {
	time.Sleep(settle)
	total, err := c.liveHeap(ctx)
	if err != nil {
		return 0, err
	}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		// Monitors run from a sealed memory file; those of other instances have another run directory.
		if err != nil || !strings.HasPrefix(target, "/memfd:") {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if belongs(pid, c.instance) {
			total += memory(pid, "smaps_rollup", "Pss")
		}
	}
	return total, nil
}

// liveHeap is what the daemon's collector found in use the last time, in MB.
func (c *client) liveHeap(ctx context.Context) (float64, error) {
	text, err := c.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`(?m)^go_gc_heap_live_bytes (\S+)$`).FindSubmatch(text)
	if match == nil {
		return 0, errors.New("the metrics tell nothing of the heap in use")
	}
	bytes, err := strconv.ParseFloat(string(match[1]), 64)
	return bytes / 1e6, err
}

// belongs tells whether a monitor is the instance's: it was started by it, or names its run directory.
func belongs(pid int, instance *harness.Instance) bool {
	dir := fmt.Sprintf("/proc/%d/", pid)
	for _, file := range []string{"cmdline", "environ", "cgroup"} {
		text, _ := os.ReadFile(dir + file)
		if strings.Contains(string(text), instance.RunDir) || strings.Contains(string(text), instance.CgroupRoot()) {
			return true
		}
	}
	status, _ := os.ReadFile(dir + "status")
	return strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", instance.PID()))
}

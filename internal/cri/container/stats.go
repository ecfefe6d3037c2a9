package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// layerAge is for how long the size of a writable layer is good: measuring it means walking through it.
const layerAge = 10 * time.Second

// usage remembers measurements between two calls.
type usage struct {
	cpuAt         time.Time
	cpu           time.Duration
	nanoCores     uint64
	layerAt       time.Time
	bytes, inodes uint64
}

// Stats measures a container. One that does not run has only its writable layer.
func (s *Service) Stats(c *Container) (*runtimev1.ContainerStats, error) {
	config := c.Config()
	out := &runtimev1.ContainerStats{Attributes: &runtimev1.ContainerAttributes{
		Id: c.ID, Metadata: config.GetMetadata(), Labels: config.GetLabels(), Annotations: config.GetAnnotations(),
	}}
	layer, err := s.layer(c)
	if err != nil {
		return nil, err
	}
	out.WritableLayer = layer
	if !c.Running() {
		return out, nil
	}
	group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
	if err != nil {
		return nil, err
	}
	measured, err := group.Stats()
	if errors.Is(err, os.ErrNotExist) { // ended meanwhile
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("measure container %q: %w", c.ID, err)
	}
	now := measured.Time.UnixNano()
	out.Cpu = CPU(measured, c.nanoCores(measured))
	out.Memory = Memory(measured)
	out.Swap = &runtimev1.SwapUsage{Timestamp: now, SwapUsageBytes: number(measured.SwapUsage)}
	return out, nil
}

// nanoCores is the rate of CPU use since the last measurement at least a tenth of a second ago.
func (c *Container) nanoCores(m cgroup.Stats) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := &c.usage
	if u.cpuAt.IsZero() {
		u.cpuAt, u.cpu = m.Time, m.CPUUsage
		return 0
	}
	passed := m.Time.Sub(u.cpuAt)
	if passed < 100*time.Millisecond || m.CPUUsage < u.cpu {
		return u.nanoCores
	}
	u.nanoCores = uint64(float64(m.CPUUsage-u.cpu) / passed.Seconds())
	u.cpuAt, u.cpu = m.Time, m.CPUUsage
	return u.nanoCores
}

// CPU converts to the CRI's form.
func CPU(m cgroup.Stats, nanoCores uint64) *runtimev1.CpuUsage {
	return &runtimev1.CpuUsage{Timestamp: m.Time.UnixNano(), UsageCoreNanoSeconds: number(uint64(m.CPUUsage)), UsageNanoCores: number(nanoCores)}
}

// Memory converts to the CRI's form.
func Memory(m cgroup.Stats) *runtimev1.MemoryUsage {
	out := &runtimev1.MemoryUsage{
		Timestamp: m.Time.UnixNano(), WorkingSetBytes: number(m.WorkingSet), UsageBytes: number(m.MemoryUsage), RssBytes: number(m.RSS),
		PageFaults: number(m.PageFaults), MajorPageFaults: number(m.MajorPageFaults), AvailableBytes: number(0),
	}
	if m.MemoryLimit > m.WorkingSet {
		out.AvailableBytes = number(m.MemoryLimit - m.WorkingSet)
	}
	return out
}

func number(v uint64) *runtimev1.UInt64Value { return &runtimev1.UInt64Value{Value: v} }

// layer measures what the container wrote.
func (s *Service) layer(c *Container) (*runtimev1.FilesystemUsage, error) {
	c.mu.Lock()
	known := c.usage
	c.mu.Unlock()
	if time.Since(known.layerAt) > layerAge {
		var err error
		known.layerAt = time.Now()
		if known.bytes, known.inodes, err = diskUsage(filepath.Join(s.dir(c.ID), "upper")); err != nil {
			return nil, fmt.Errorf("measure writable layer of container %q: %w", c.ID, err)
		}
		c.mu.Lock()
		c.usage.layerAt, c.usage.bytes, c.usage.inodes = known.layerAt, known.bytes, known.inodes
		c.mu.Unlock()
	}
	return &runtimev1.FilesystemUsage{
		Timestamp: known.layerAt.UnixNano(), FsId: &runtimev1.FilesystemIdentifier{Mountpoint: s.cfg.RootDir},
		UsedBytes: number(known.bytes), InodesUsed: number(known.inodes),
	}, nil
}

// diskUsage counts blocks and inodes below dir; files that vanish while it looks do not count.
func diskUsage(dir string) (bytes, inodes uint64, _ error) {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		bytes += uint64(st.Blocks) * 512
		inodes++
		return nil
	})
	return bytes, inodes, err
}

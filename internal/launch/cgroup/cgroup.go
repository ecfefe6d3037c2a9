// Package cgroup makes, limits, measures and removes cgroups of v1, v2 and hybrid hosts.
package cgroup

import (
	"context"
	"errors"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var errPending = errors.New("not there yet")

// Host is the layout of the machine's hierarchies.
type Host struct{}

// Open finds the hierarchies under /sys/fs/cgroup.
func Open() (*Host, error) { return nil, errPending }

// Unified says that the machine has cgroup v2 alone.
func (h *Host) Unified() bool { return false }

// Group is a cgroup in every hierarchy that has controllers.
type Group struct{}

// Group names a cgroup by its absolute path, as in /mayfly-1a2b3c4d/pod-x/container-y.
// Path elements that end in .slice (systemd names like a-b.slice) map to a.slice/a-b.slice.
func (h *Host) Group(path string) (*Group, error) { return nil, errPending }

// Create makes the cgroup and its parents; it is no error when they exist.
func (g *Group) Create() error { return errPending }

// Dirs are the directories to join, for compile.Options.CgroupDirs and monitor.Config.CgroupDirs.
func (g *Group) Dirs() []string { return nil }

// KillDir is for monitor.StartRequest.KillDir.
func (g *Group) KillDir() string { return "" }

// OOMFile is for monitor.StartRequest.OOMFile; empty when there is no memory controller.
func (g *Group) OOMFile() string { return "" }

// Path is the path within the hierarchies.
func (g *Group) Path() string { return "" }

// Apply sets limits; nil fields stay as they are. Controllers that the machine lacks are an error
// only when a limit asks for them.
func (g *Group) Apply(r *specs.LinuxResources) error { return errPending }

// Processes lists the PIDs in the cgroup and below.
func (g *Group) Processes() ([]int, error) { return nil, errPending }

// Freeze and Thaw stop and continue all processes.
func (g *Group) Freeze(ctx context.Context) error { return errPending }

// Thaw continues what Freeze stopped.
func (g *Group) Thaw(ctx context.Context) error { return errPending }

// Kill kills all processes in the cgroup and below, and waits until they are gone.
func (g *Group) Kill(ctx context.Context) error { return errPending }

// Stats measures.
func (g *Group) Stats() (Stats, error) { return Stats{}, errPending }

// Remove removes the cgroup and those below; it waits a little for dying processes.
func (g *Group) Remove(ctx context.Context) error { return errPending }

// Stats of a cgroup. Sizes are in bytes.
type Stats struct {
	Time            time.Time
	CPUUsage        time.Duration
	MemoryUsage     uint64
	MemoryLimit     uint64 // 0 for none
	WorkingSet      uint64 // usage without inactive file pages
	RSS             uint64
	PageFaults      uint64
	MajorPageFaults uint64
	SwapUsage       uint64
	PIDs            uint64
	PIDsLimit       uint64
	OOMKills        uint64
}

package cgroup

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// setting is one file to write. value "" stands for no setting.
type setting struct{ controller, file, value string }

// Apply sets limits; nil fields stay as they are. A limit whose controller the machine
// lacks is ErrUnsupported.
func (g *Group) Apply(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	settings := legacy
	if g.host.v2 != "" {
		settings = unified
	}
	list, err := settings(r)
	if err != nil {
		return err
	}
	for _, s := range list {
		if err := g.set(s); err != nil {
			return fmt.Errorf("cgroup %s: %w", g.path, err)
		}
	}
	return g.applyDevices(r.Devices)
}

func (g *Group) set(s setting) error {
	dir := g.dir(s.controller)
	if dir == "" {
		return fmt.Errorf("%s: %w", s.file, ErrUnsupported)
	}
	err := write(dir, s.file, s.value)
	if err != nil && s.file == "memory.limit_in_bytes" {
		// The limit with swap must not be below the one without: whichever grows goes first.
		if write(dir, "memory.memsw.limit_in_bytes", "-1") == nil {
			return write(dir, s.file, s.value)
		}
	}
	return err
}

func num[T int64 | uint64 | uint16](v T) string { return fmt.Sprint(v) }

// legacy gives the settings of v1.
func legacy(r *specs.LinuxResources) ([]setting, error) {
	var out []setting
	add := func(controller, file, value string) { out = append(out, setting{controller, file, value}) }
	if m := r.Memory; m != nil {
		if m.Limit != nil {
			add("memory", "memory.limit_in_bytes", num(*m.Limit))
		}
		if m.Swap != nil && *m.Swap != 0 {
			add("memory", "memory.memsw.limit_in_bytes", num(*m.Swap))
		}
		if m.Reservation != nil {
			add("memory", "memory.soft_limit_in_bytes", num(*m.Reservation))
		}
		if m.Swappiness != nil {
			add("memory", "memory.swappiness", num(*m.Swappiness))
		}
	}
	if c := r.CPU; c != nil {
		if c.Shares != nil && *c.Shares != 0 {
			add("cpu", "cpu.shares", num(*c.Shares))
		}
		if c.Period != nil && *c.Period != 0 {
			add("cpu", "cpu.cfs_period_us", num(*c.Period))
		}
		if c.Quota != nil && *c.Quota != 0 {
			add("cpu", "cpu.cfs_quota_us", num(*c.Quota))
		}
		if c.Cpus != "" {
			add("cpuset", "cpuset.cpus", c.Cpus)
		}
		if c.Mems != "" {
			add("cpuset", "cpuset.mems", c.Mems)
		}
	}
	if p := pidsLimit(r); p != "" {
		add("pids", "pids.max", p)
	}
	if b := r.BlockIO; b != nil && b.Weight != nil && *b.Weight != 0 {
		add("blkio", "blkio.weight", num(*b.Weight))
	}
	for _, l := range r.HugepageLimits {
		add("hugetlb", "hugetlb."+l.Pagesize+".limit_in_bytes", num(l.Limit))
	}
	if len(r.Unified) > 0 {
		return nil, fmt.Errorf("unified settings on cgroup v1: %w", ErrUnsupported)
	}
	return out, nil
}

func pidsLimit(r *specs.LinuxResources) string {
	switch {
	case r.Pids == nil || r.Pids.Limit == nil || *r.Pids.Limit == 0:
		return ""
	case *r.Pids.Limit < 0:
		return "max"
	}
	return num(*r.Pids.Limit)
}

// unified gives the settings of v2.
func unified(r *specs.LinuxResources) ([]setting, error) {
	var out []setting
	add := func(file, value string) {
		controller, _, _ := strings.Cut(file, ".")
		out = append(out, setting{controller, file, value})
	}
	if err := unifiedMemory(r.Memory, add); err != nil {
		return nil, err
	}
	unifiedCPU(r.CPU, add)
	if p := pidsLimit(r); p != "" {
		add("pids.max", p)
	}
	if b := r.BlockIO; b != nil && b.Weight != nil && *b.Weight != 0 {
		// From 10–1000 to 1–10000, as the OCI specification's runtimes convert it.
		add("io.weight", num(1+(uint64(*b.Weight)-10)*9999/990))
	}
	for _, l := range r.HugepageLimits {
		add("hugetlb."+l.Pagesize+".max", num(l.Limit))
	}
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		if strings.Contains(file, "/") || !strings.Contains(file, ".") || file != filepath.Base(file) {
			return nil, fmt.Errorf("unified setting %q: not a file's name", file)
		}
		add(file, r.Unified[file])
	}
	return out, nil
}

func most(v int64) string {
	if v < 0 {
		return "max"
	}
	return num(v)
}

func unifiedMemory(m *specs.LinuxMemory, add func(file, value string)) error {
	if m == nil {
		return nil
	}
	if m.Reservation != nil && *m.Reservation != 0 {
		add("memory.low", most(*m.Reservation))
	}
	if m.Limit != nil && *m.Limit != 0 {
		add("memory.max", most(*m.Limit))
	}
	if m.Swap != nil && *m.Swap != 0 {
		swap := *m.Swap // with the memory; v2 counts swap alone
		if swap > 0 {
			if m.Limit == nil || *m.Limit <= 0 || swap < *m.Limit {
				return fmt.Errorf("swap limit %d below the memory limit: %w", swap, ErrUnsupported)
			}
			swap -= *m.Limit
		}
		add("memory.swap.max", most(swap))
	}
	return nil
}

func unifiedCPU(c *specs.LinuxCPU, add func(file, value string)) {
	if c == nil {
		return
	}
	if c.Shares != nil && *c.Shares != 0 {
		add("cpu.weight", num(Weight(*c.Shares)))
	}
	switch {
	case c.Quota != nil && *c.Quota != 0:
		value := most(*c.Quota)
		if c.Period != nil && *c.Period != 0 {
			value += " " + num(*c.Period)
		}
		add("cpu.max", value)
	case c.Period != nil && *c.Period != 0:
		add("cpu.max", "max "+num(*c.Period))
	}
	if c.Cpus != "" {
		add("cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		add("cpuset.mems", c.Mems)
	}
}

// Weight converts v1's shares (2–262144) to v2's weight (1–10000), as Kubernetes does.
func Weight(shares uint64) uint64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

// applyDevices sets the device list of v1; on v2 see devices_unified.go.
func (g *Group) applyDevices(rules []specs.LinuxDeviceCgroup) error {
	if len(rules) == 0 {
		return nil
	}
	if g.host.v2 != "" {
		return g.filterDevices(rules)
	}
	dir := g.dir("devices")
	if dir == "" {
		return fmt.Errorf("device rules: %w", ErrUnsupported)
	}
	for _, r := range rules {
		file := "devices.deny"
		if r.Allow {
			file = "devices.allow"
		}
		if err := write(dir, file, deviceRule(r)); err != nil {
			return err
		}
	}
	return nil
}

func deviceRule(r specs.LinuxDeviceCgroup) string {
	kind, access := r.Type, r.Access
	if kind == "" {
		kind = "a"
	}
	if access == "" {
		access = "rwm"
	}
	if kind == "a" {
		return "a"
	}
	number := func(n *int64) string {
		if n == nil || *n < 0 {
			return "*"
		}
		return strconv.FormatInt(*n, 10)
	}
	return fmt.Sprintf("%s %s:%s %s", kind, number(r.Major), number(r.Minor), access)
}

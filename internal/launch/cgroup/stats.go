package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Stats of a cgroup. Sizes are in bytes; what the machine does not count is 0.
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
	PIDsLimit       uint64 // 0 for none
	OOMKills        uint64
}

// unlimited is where v1's way of saying no limit starts.
const unlimited = 1 << 62

// reader reads counters and keeps the first real error.
type reader struct {
	g   *Group
	err error
}

// file gives a file's text; one that does not exist is empty.
func (r *reader) file(controller, name string) string {
	dir := r.g.dir(controller)
	if dir == "" {
		return ""
	}
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && r.err == nil {
		r.err = err
	}
	return strings.TrimSpace(string(content))
}

func number(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v >= unlimited {
		return 0
	}
	return v
}

func (r *reader) number(controller, name string) uint64 { return number(r.file(controller, name)) }

// table reads lines of a name and a number.
func (r *reader) table(controller, name string) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(r.file(controller, name)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[key] = number(value)
	}
	return out
}

// Stats measures; a cgroup that does not exist is fs.ErrNotExist.
func (g *Group) Stats() (Stats, error) {
	if _, err := os.Stat(g.KillDir()); err != nil {
		return Stats{}, fmt.Errorf("cgroup %s: %w", g.path, err)
	}
	r := &reader{g: g}
	s := Stats{Time: time.Now(), PIDs: r.number("pids", "pids.current"), PIDsLimit: r.number("pids", "pids.max")}
	if g.host.v2 != "" {
		r.unified(&s)
	} else {
		r.legacy(&s)
	}
	if r.err != nil {
		return Stats{}, fmt.Errorf("measure cgroup %s: %w", g.path, r.err)
	}
	return s, nil
}

func (r *reader) unified(s *Stats) {
	s.CPUUsage = time.Duration(r.table("cpu", "cpu.stat")["usage_usec"]) * time.Microsecond
	s.MemoryUsage = r.number("memory", "memory.current")
	s.MemoryLimit = r.number("memory", "memory.max")
	s.SwapUsage = r.number("memory", "memory.swap.current")
	stat := r.table("memory", "memory.stat")
	s.RSS, s.PageFaults, s.MajorPageFaults = stat["anon"], stat["pgfault"], stat["pgmajfault"]
	s.WorkingSet = minus(s.MemoryUsage, stat["inactive_file"])
	s.OOMKills = r.table("memory", "memory.events")["oom_kill"]
}

func (r *reader) legacy(s *Stats) {
	s.CPUUsage = time.Duration(r.number("cpuacct", "cpuacct.usage"))
	s.MemoryUsage = r.number("memory", "memory.usage_in_bytes")
	s.MemoryLimit = r.number("memory", "memory.limit_in_bytes")
	stat := r.table("memory", "memory.stat")
	s.RSS, s.SwapUsage = stat["total_rss"], stat["total_swap"]
	s.PageFaults, s.MajorPageFaults = stat["total_pgfault"], stat["total_pgmajfault"]
	s.WorkingSet = minus(s.MemoryUsage, stat["total_inactive_file"])
	s.OOMKills = r.table("memory", "memory.oom_control")["oom_kill"]
}

func minus(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}

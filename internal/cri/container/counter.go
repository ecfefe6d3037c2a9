package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// Counters are what cAdvisor tells of a container beyond the CRI's statistics. Times are in nanoseconds, sizes in bytes.
type Counters struct {
	Periods, ThrottledPeriods, ThrottledTime, UserTime, SystemTime     uint64
	Processes, Threads, ThreadsMax, Files, Sockets                     uint64
	Cache, Mapped, Kernel, MaxUsage, Swap, LimitHits, PageFaults, OOMs uint64
	DiskBytes, DiskLimit, DiskInodes, DiskInodesFree                   uint64
	Reads, ReadBytes, Writes, WriteBytes                               uint64
}

// Count reads the counters of a running container. What the machine does not count is 0.
func (s *Service) Count(c *Container) (Counters, error) {
	group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
	if err != nil {
		return Counters{}, err
	}
	measured, err := group.Stats()
	if err != nil {
		return Counters{}, fmt.Errorf("measure container %q: %w", c.ID, err)
	}
	out := Counters{
		Swap: measured.SwapUsage, PageFaults: measured.PageFaults, OOMs: measured.OOMKills,
		Threads: measured.PIDs, ThreadsMax: measured.PIDsLimit,
	}
	files := cgroupFiles(group.Dirs())
	out.cpu(files)
	out.memory(files)
	out.disk(files)
	out.processes(group)
	var st unix.Statfs_t
	if err := unix.Statfs(s.cfg.RootDir, &st); err == nil {
		out.DiskLimit, out.DiskInodes, out.DiskInodesFree = st.Blocks*uint64(st.Bsize), st.Files, st.Ffree
	}
	return out, nil
}

func (o *Counters) cpu(files cgroupFiles) {
	stat := files.table("cpu.stat")
	o.Periods, o.ThrottledPeriods = stat["nr_periods"], stat["nr_throttled"]
	o.ThrottledTime = stat["throttled_time"] + stat["throttled_usec"]*1000 // v1, v2
	o.UserTime = files.number("cpuacct.usage_user") + stat["user_usec"]*1000
	o.SystemTime = files.number("cpuacct.usage_sys") + stat["system_usec"]*1000
}

func (o *Counters) memory(files cgroupFiles) {
	stat := files.table("memory.stat")
	o.Cache = stat["total_cache"] + stat["file"]
	o.Mapped = max(stat["total_mapped_file"], stat["file_mapped"])
	o.Kernel = files.number("memory.kmem.usage_in_bytes") + stat["kernel"]
	o.MaxUsage = files.number("memory.max_usage_in_bytes") + files.number("memory.peak")
	o.LimitHits = files.number("memory.failcnt") + files.table("memory.events")["max"]
}

// disk adds up all devices: "8:0 Read 123" on v1, "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" on v2.
func (o *Counters) disk(files cgroupFiles) {
	for _, v1 := range []struct {
		name        string
		read, write *uint64
	}{
		{"blkio.throttle.io_service_bytes", &o.ReadBytes, &o.WriteBytes}, {"blkio.throttle.io_serviced", &o.Reads, &o.Writes},
	} {
		for line := range strings.Lines(files.text(v1.name)) {
			if f := strings.Fields(line); len(f) == 3 {
				add(v1.read, f[1] == "Read", f[2])
				add(v1.write, f[1] == "Write", f[2])
			}
		}
	}
	for _, field := range strings.Fields(files.text("io.stat")) {
		key, value, _ := strings.Cut(field, "=")
		for name, to := range map[string]*uint64{"rbytes": &o.ReadBytes, "wbytes": &o.WriteBytes, "rios": &o.Reads, "wios": &o.Writes} {
			add(to, key == name, value)
		}
	}
	o.DiskBytes = o.ReadBytes + o.WriteBytes
}

func add(to *uint64, when bool, value string) {
	if n, err := strconv.ParseUint(value, 10, 64); when && err == nil {
		*to += n
	}
}

// processes looks at each; those that end meanwhile do not count.
func (o *Counters) processes(group *cgroup.Group) {
	pids, err := group.Processes()
	if err != nil {
		return
	}
	o.Processes = uint64(len(pids))
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		entries, _ := os.ReadDir(dir)
		o.Files += uint64(len(entries))
		for _, entry := range entries {
			if target, _ := os.Readlink(filepath.Join(dir, entry.Name())); strings.HasPrefix(target, "socket:") {
				o.Sockets++
			}
		}
	}
}

// cgroupFiles are the directories of a cgroup. On v1 each file is in one of them.
type cgroupFiles []string

func (d cgroupFiles) text(name string) string {
	for _, dir := range d {
		if content, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return strings.TrimSpace(string(content))
		}
	}
	return ""
}

func (d cgroupFiles) number(name string) uint64 {
	n, _ := strconv.ParseUint(d.text(name), 10, 64)
	return n
}

func (d cgroupFiles) table(name string) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(d.text(name)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[key], _ = strconv.ParseUint(value, 10, 64)
	}
	return out
}

package compile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var cloneFlags = map[specs.LinuxNamespaceType]uint64{
	specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS,
	specs.MountNamespace: unix.CLONE_NEWNS, specs.CgroupNamespace: unix.CLONE_NEWCGROUP,
}

// joinCgroups makes the child a member of cgroups before it does anything that counts. On v1
// it writes to tasks: cgroup.procs takes a lock of the whole machine. On v2 it is born inside.
func (c *compiler) joinCgroups(dirs []string) error {
	var err error
	if c.unified, err = unified(dirs); err != nil {
		return err
	}
	for _, dir := range dirs {
		if !c.unified {
			c.writeFile(filepath.Join(dir, "tasks"), "0", "join cgroup "+dir, c.Must)
			continue
		}
		f, err := c.file(dir, unix.O_DIRECTORY)
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		c.Spawn().Cgroup = int(f.Value)
	}
	return nil
}

// unified tells whether directories of cgroups, which are all of one version, are of v2.
func unified(dirs []string) (bool, error) {
	if len(dirs) == 0 {
		return false, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dirs[0], &fs); err != nil {
		return false, fmt.Errorf("cgroup %s: %w", dirs[0], err)
	}
	return fs.Type == unix.CGROUP2_SUPER_MAGIC, nil
}

type adder func(nr uint32, note string, args ...launch.Arg)

// writeFile writes to a file of the host's.
func (c *compiler) writeFile(path, content, note string, write adder) {
	open := []launch.Arg{launch.Int(unix.AT_FDCWD), c.Text(path), launch.Int(unix.O_WRONLY | unix.O_CLOEXEC)}
	f := c.Keep(unix.SYS_OPENAT, note, open...)
	write(unix.SYS_WRITE, note, f, c.Text(content), launch.Int(len(content)))
	c.May(unix.SYS_CLOSE, "", f)
}

// oomScore may fail: a value below one's own needs CAP_SYS_RESOURCE.
func (c *compiler) oomScore(adj *int) {
	if adj != nil {
		c.writeFile("/proc/self/oom_score_adj", fmt.Sprint(*adj), fmt.Sprintf("set oom_score_adj %d", *adj), c.May)
	}
}

// openLabel opens the host's file for an AppArmor or SELinux label, while it can be reached.
func (c *compiler) openLabel(p *specs.Process) {
	var path string
	switch {
	case p.ApparmorProfile != "" && p.ApparmorProfile != "unconfined":
		path, c.label = "/proc/self/attr/apparmor/exec", "exec "+p.ApparmorProfile
		if _, err := os.Stat(path); err != nil {
			path = "/proc/self/attr/exec"
		}
	case p.SelinuxLabel != "":
		path, c.label = "/proc/self/attr/exec", p.SelinuxLabel
	default:
		return
	}
	c.attr = c.Keep(unix.SYS_OPENAT, "open label "+c.label, launch.Int(unix.AT_FDCWD), c.Text(path), launch.Int(unix.O_WRONLY|unix.O_CLOEXEC))
}

// namespaces joins and makes namespaces, and sets what belongs to them.
func (c *compiler) namespaces(spec *specs.Spec) error {
	if err := c.joinNamespaces(spec.Linux.Namespaces, true); err != nil {
		return err
	}
	isUTS := func(ns specs.LinuxNamespace) bool { return ns.Type == specs.UTSNamespace }
	if spec.Hostname != "" || spec.Domainname != "" {
		if !slices.ContainsFunc(spec.Linux.Namespaces, isUTS) {
			return fmt.Errorf("hostname %s without a UTS namespace", spec.Hostname)
		}
		c.hostname(spec.Hostname, spec.Domainname)
	}
	return c.sysctls(spec.Linux.Sysctl)
}

func (c *compiler) hostname(host, domain string) {
	if host != "" {
		c.Must(unix.SYS_SETHOSTNAME, "set hostname", c.Text(host), launch.Int(len(host)))
	}
	if domain != "" {
		c.Must(unix.SYS_SETDOMAINNAME, "set domain name", c.Text(domain), launch.Int(len(domain)))
	}
}

func (c *compiler) sysctls(sysctl map[string]string) error {
	names := make([]string, 0, len(sysctl))
	for name := range sysctl {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := strings.ReplaceAll(name, ".", "/")
		if strings.Contains(name, "/") { // slashes separate, dots belong to names
			path = name
		}
		if !filepath.IsLocal(path) {
			return fmt.Errorf("sysctl %q: not a name", name)
		}
		c.writeFile("/proc/sys/"+path, sysctl[name], "set sysctl "+name, c.Must)
	}
	return nil
}

func (c *compiler) joinNamespaces(list []specs.LinuxNamespace, needMount bool) error {
	mount, seen := false, map[specs.LinuxNamespaceType]bool{}
	for _, ns := range list {
		if ns.Type == specs.UserNamespace && c.users != nil {
			continue // entered last
		}
		flag, ok := cloneFlags[ns.Type]
		switch {
		case !ok:
			return fmt.Errorf("%s namespace: %w", ns.Type, ErrUnsupported)
		case seen[ns.Type]:
			return fmt.Errorf("%s namespace given twice", ns.Type)
		}
		seen[ns.Type] = true
		mount = mount || ns.Type == specs.MountNamespace && ns.Path == ""
		if err := c.joinNamespace(ns, flag); err != nil {
			return fmt.Errorf("%s namespace: %w", ns.Type, err)
		}
	}
	if needMount && !mount {
		return fmt.Errorf("a container without a mount namespace of its own: %w", ErrUnsupported)
	}
	return nil
}

func (c *compiler) joinNamespace(ns specs.LinuxNamespace, flag uint64) error {
	switch {
	case ns.Path == "" && ns.Type == specs.CgroupNamespace:
		// Its root is the cgroup at the time: joined by now.
		c.Must(unix.SYS_UNSHARE, "make cgroup namespace", launch.Int(int(flag)))
	case ns.Path == "" && ns.Type == specs.MountNamespace:
		// Made by newMounts, when the host's files are needed no more.
	case ns.Path == "":
		c.Spawn().Flags |= flag
	case ns.Type == specs.MountNamespace:
		return fmt.Errorf("join %s: %w", ns.Path, ErrUnsupported)
	default:
		f, err := c.file(ns.Path, unix.O_RDONLY)
		if err != nil {
			return err
		}
		if ns.Type == specs.PIDNamespace {
			c.pids = &f
			return nil
		}
		c.Must(unix.SYS_SETNS, fmt.Sprintf("join %s namespace %s", ns.Type, ns.Path), f, launch.Int(int(flag)))
	}
	return nil
}

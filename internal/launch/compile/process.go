package compile

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultPath is searched when the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

var rlimits = map[string]int{
	"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_STACK": unix.RLIMIT_STACK,
	"RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
	"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
}

// process turns the child into the process of the configuration. Without no_new_privs the
// filter goes in while the right to do so is there; with it, as late as can be.
func (c *compiler) process(p *specs.Process, filter *seccomp.Filter) error {
	if err := c.rlimits(p.Rlimits); err != nil {
		return err
	}
	c.enterCwd(cwd(p))
	umask := uint32(0o022)
	if p.User.Umask != nil {
		umask = *p.User.Umask
	}
	c.Must(unix.SYS_UMASK, "", launch.Int(int(umask)))
	c.writeLabel()
	// Not only on execve, which looks its path up first, through /proc/self/fd as well.
	c.Must(unix.SYS_CLOSE_RANGE, "keep nothing else open", launch.Int(3), launch.Int(1<<32-1), launch.Int(0))
	if !p.NoNewPrivileges {
		c.filter(filter)
	}
	if err := c.credentials(p); err != nil {
		return err
	}
	c.dieWithMonitor()
	if p.NoNewPrivileges {
		c.Must(unix.SYS_PRCTL, "no new privileges", launch.Int(unix.PR_SET_NO_NEW_PRIVS), launch.Int(1), launch.Int(0), launch.Int(0), launch.Int(0))
		c.filter(filter)
	}
	return c.exec(p)
}

// dieWithMonitor lets nothing run that nobody watches. The kernel forgets it when credentials change, so it comes after
// them; it speaks of the thread that made the process, which in the monitor lives as long as the monitor.
func (c *compiler) dieWithMonitor() {
	none := launch.Int(0)
	c.May(unix.SYS_PRCTL, "end with the monitor", launch.Int(unix.PR_SET_PDEATHSIG), launch.Int(int(unix.SIGKILL)), none, none, none)
}

// beBorn lets the child be born into the PID namespace that is entered, unless somebody there may trace it: it goes there
// by fork then.
func (c *compiler) beBorn(traced bool) {
	if c.pids != nil && !traced {
		c.Spawn().PIDs, c.pids = int(c.pids.Value), nil
	}
}

// fork goes on in a process that the PID namespace's others can see, and those with CAP_SYS_PTRACE can take over.
// So it comes once the host is out of reach, and what can be given up before is.
func (c *compiler) fork(p *specs.Process) error {
	if c.pids == nil {
		return nil
	}
	c.writeLabel()
	if c.users == nil { // whoever enters a user namespace has all rights there anew
		if err := c.boundBy(p); err != nil {
			return err
		}
	}
	c.Must(launch.OpFork, "enter PID namespace", *c.pids)
	return nil
}

// writeLabel says which label the next execve gives, through the file of the process that opened it; a fork inherits it.
func (c *compiler) writeLabel() {
	if c.label != "" {
		c.Must(unix.SYS_WRITE, "label "+c.label, c.attr, c.Text(c.label), launch.Int(len(c.label)))
		c.label = ""
	}
}

// rlimits may fail: raising one needs CAP_SYS_RESOURCE.
func (c *compiler) rlimits(list []specs.POSIXRlimit) error {
	for _, l := range list {
		id, ok := rlimits[l.Type]
		if !ok {
			return fmt.Errorf("resource limit %q: unknown", l.Type)
		}
		words := c.Words(launch.Arg{Value: l.Soft}, launch.Arg{Value: l.Hard})
		c.May(unix.SYS_PRLIMIT64, "limit "+l.Type, launch.Int(0), launch.Int(id), words, launch.Int(0))
	}
	return nil
}

// enterCwd makes sure that the working directory lies within the root: no descriptor
// that leaked, no link of procfs leads out.
func (c *compiler) enterCwd(dir string) {
	note := "enter working directory " + dir
	at := c.Keep(unix.SYS_OPENAT2, note, c.openArgs(dir, c.how(unix.O_PATH|unix.O_DIRECTORY, inRoot))...)
	c.Must(unix.SYS_FCHDIR, note, at)
	buf := c.Space(unix.PathMax)
	c.Must(unix.SYS_GETCWD, note, buf, launch.Int(unix.PathMax))
	c.Equal(buf, 4, 0xff, '/', note)
}

func (c *compiler) filter(f *seccomp.Filter) {
	if f == nil {
		return
	}
	code := make([]byte, 0, 8*len(f.Instructions))
	for _, i := range f.Instructions {
		code = binary.LittleEndian.AppendUint16(code, i.Code)
		code = append(code, i.Jt, i.Jf)
		code = binary.LittleEndian.AppendUint32(code, i.K)
	}
	prog := c.Words(launch.Int(len(f.Instructions)), c.Bytes(code))
	c.Must(unix.SYS_SECCOMP, "filter system calls", launch.Int(unix.SECCOMP_SET_MODE_FILTER), launch.Int(int(f.Flags)), prog)
}

// exec runs the command, looked up along the PATH of its own environment.
func (c *compiler) exec(p *specs.Process) error {
	name := p.Args[0]
	argv, env := c.Texts(p.Args...), c.Texts(p.Env...)
	note := "exec " + name
	if strings.Contains(name, "/") {
		c.Must(unix.SYS_EXECVE, note, c.Text(name), argv, env)
		return nil
	}
	if name == "" {
		c.Fail(unix.ENOENT, note)
		return nil
	}
	search := defaultPath
	for _, e := range p.Env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	dirs := strings.Split(search, ":")
	for i, dir := range dirs {
		if dir == "" {
			dir = "."
		}
		if !slices.Contains(dirs[:i], dir) {
			c.Try(unix.SYS_EXECVE, note, c.Text(path.Join(dir, name)), argv, env)
		}
	}
	c.Fail(unix.ENOENT, note)
	return nil
}

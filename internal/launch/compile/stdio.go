package compile

import (
	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// stdio makes the streams descriptors 0 to 2, in a new session. console binds the
// terminal on /dev/console as well, for a container's first process.
func (c *compiler) stdio(p *specs.Process, console bool) {
	c.Must(unix.SYS_SETSID, "new session")
	if p.Terminal {
		c.terminal(p, console)
		return
	}
	for fd, f := range []int{launch.FileStdin, launch.FileStdout, launch.FileStderr} {
		c.Must(unix.SYS_DUP3, "stdio", launch.FileArg(f), launch.Int(fd), launch.Int(0))
	}
	for fd := 0; fd < 3 && c.users == nil; fd++ {
		c.ownPipe(launch.Int(fd), p.User)
	}
}

// ownPipe lets the user open /dev/stdout. What is no pipe is not the container's own: the host's /dev/null, say.
func (c *compiler) ownPipe(fd launch.Arg, u specs.User) {
	const modeAt = 28 // of struct statx
	stat := c.Space(256)
	c.Must(unix.SYS_STATX, "stdio", fd, c.Text(""), launch.Int(unix.AT_EMPTY_PATH), launch.Int(unix.STATX_TYPE), stat)
	c.OrSkip(func(launch.Arg) {
		c.May(unix.SYS_FCHOWN, "own pipe", fd, launch.Int(int(u.UID)), launch.Int(int(u.GID)))
	}, launch.OpEqual, "own pipe", launch.At(stat, modeAt), launch.Int(4), launch.Int(unix.S_IFMT), launch.Int(unix.S_IFIFO))
}

const (
	devptsMagic = 0x1cd1 // DEVPTS_SUPER_MAGIC of linux/magic.h
	sizeofFS    = 120    // struct statfs
)

// terminal allocates a terminal from the container's own devpts and sends its master up.
func (c *compiler) terminal(p *specs.Process, console bool) {
	const note = "allocate terminal"
	how := c.how(unix.O_RDWR|unix.O_NOCTTY, noSymlinks)
	master := c.Keep(unix.SYS_OPENAT2, note, c.openArgs("/dev/pts/ptmx", how)...)
	stat := c.Space(sizeofFS)
	c.Must(unix.SYS_FSTATFS, note, master, stat)
	c.Equal(stat, 8, ^uint64(0), devptsMagic, "check devpts")
	c.Must(unix.SYS_IOCTL, note, master, launch.Int(unix.TIOCSPTLCK), c.Space(4))
	if s := p.ConsoleSize; s != nil {
		size := c.Bytes([]byte{byte(s.Height), byte(s.Height >> 8), byte(s.Width), byte(s.Width >> 8), 0, 0, 0, 0})
		c.May(unix.SYS_IOCTL, "size terminal", master, launch.Int(unix.TIOCSWINSZ), size)
	}
	slave := c.Keep(unix.SYS_IOCTL, note, master, launch.Int(unix.TIOCGPTPEER), launch.Int(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC))
	c.May(unix.SYS_FCHOWN, "own terminal", slave, launch.Int(int(p.User.UID)), launch.Int(-1))
	if console {
		tree := c.Keep(unix.SYS_OPEN_TREE, "bind console", slave, c.Text(""), launch.Int(unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC))
		c.moveMount(tree, c.ensureFile("/dev/console", "bind console"), "bind console")
	}
	c.sendFile(master, "hand terminal over")
	c.Must(unix.SYS_IOCTL, "take terminal", slave, launch.Int(unix.TIOCSCTTY), launch.Int(0))
	for fd := range 3 {
		c.Must(unix.SYS_DUP3, "stdio", slave, launch.Int(fd), launch.Int(0))
	}
}

// sendFile sends a descriptor over the control socket, with SCM_RIGHTS.
func (c *compiler) sendFile(fd launch.Arg, note string) {
	const cmsgLen, cmsgSpace, fdAt = 20, 24, 16
	control := c.Words(launch.Int(cmsgLen), launch.Int(unix.SOL_SOCKET|unix.SCM_RIGHTS<<32), launch.Int(0))
	iov := c.Words(c.Text("t"), launch.Int(1))
	msg := c.Words(launch.Int(0), launch.Int(0), iov, launch.Int(1), control, launch.Int(cmsgSpace), launch.Int(0))
	c.Store(launch.At(control, fdAt), fd)
	c.Must(unix.SYS_SENDMSG, note, launch.FileArg(launch.FileControl), msg, launch.Int(unix.MSG_NOSIGNAL))
}

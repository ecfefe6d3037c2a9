package compile

import (
	"fmt"
	"slices"
	"sync"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilityNames in the order of their numbers (linux/capability.h).
func capabilityNames() [41]string {
	return [...]string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
		"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
		"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
		"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
		"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

// capMask gives the bits of capabilities, of those that the machine lets us have.
func capMask(list []string, have uint64) (uint64, error) {
	names := capabilityNames()
	var mask uint64
	for _, name := range list {
		i := slices.Index(names[:], name)
		if i < 0 {
			return 0, fmt.Errorf("capability %q: unknown", name)
		}
		mask |= 1 << i
	}
	return mask & have, nil
}

// permitted are our own capabilities, which we never give up: nobody can give more.
var permitted = sync.OnceValues(func() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
})

// boundBy drops what the process may never have from the bounding set, once.
func (c *compiler) boundBy(p *specs.Process) error {
	have, err := permitted()
	if err != nil || c.bounded {
		return err
	}
	var keep uint64
	if p.Capabilities != nil {
		if keep, err = capMask(p.Capabilities.Bounding, have); err != nil {
			return err
		}
	}
	c.bounded = true
	c.bound(keep)
	return nil
}

// credentials sets groups, user and capabilities.
func (c *compiler) credentials(p *specs.Process) error {
	have, err := permitted()
	if err != nil {
		return err
	}
	caps := p.Capabilities
	if caps == nil {
		caps = &specs.LinuxCapabilities{}
	}
	if err := c.boundBy(p); err != nil {
		return err
	}
	var sets [4]uint64
	for i, list := range [][]string{caps.Effective, caps.Permitted, caps.Inheritable, caps.Ambient} {
		if sets[i], err = capMask(list, have); err != nil {
			return err
		}
	}
	none := launch.Int(0)
	c.Must(unix.SYS_PRCTL, "keep capabilities", launch.Int(unix.PR_SET_KEEPCAPS), launch.Int(1), none, none, none)
	c.user(p.User)
	c.setCaps(sets[0], sets[1], sets[2])
	c.Must(unix.SYS_PRCTL, "", launch.Int(unix.PR_SET_KEEPCAPS), none, none, none, none)
	c.May(unix.SYS_PRCTL, "clear ambient capabilities", launch.Int(unix.PR_CAP_AMBIENT), launch.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL), none, none, none)
	for i, name := range capabilityNames() {
		if sets[3]&(1<<i) != 0 {
			c.Must(unix.SYS_PRCTL, "raise "+name, launch.Int(unix.PR_CAP_AMBIENT), launch.Int(unix.PR_CAP_AMBIENT_RAISE), launch.Int(i), none, none)
		}
	}
	return nil
}

// bound drops from the bounding set. Numbers beyond those known here are dropped as well;
// the kernel refuses those that it does not know.
func (c *compiler) bound(keep uint64) {
	names := capabilityNames()
	for i := range 64 {
		if keep&(1<<i) != 0 {
			continue
		}
		drop, note := c.May, ""
		if i < len(names) {
			note = "drop " + names[i]
		}
		if i <= unix.CAP_AUDIT_READ { // every kernel that we run on has these
			drop = c.Must
		}
		if i > len(names)+3 {
			return
		}
		drop(unix.SYS_PRCTL, note, launch.Int(unix.PR_CAPBSET_DROP), launch.Int(i), launch.Int(0), launch.Int(0), launch.Int(0))
	}
}

func (c *compiler) user(u specs.User) {
	groups := make([]byte, 0, 4*len(u.AdditionalGids))
	for _, g := range u.AdditionalGids {
		groups = append(groups, byte(g), byte(g>>8), byte(g>>16), byte(g>>24))
	}
	c.Must(unix.SYS_SETGROUPS, "set groups", launch.Int(len(u.AdditionalGids)), c.Bytes(groups))
	gid, uid := launch.Int(int(u.GID)), launch.Int(int(u.UID))
	c.Must(unix.SYS_SETRESGID, "set group", gid, gid, gid)
	c.Must(unix.SYS_SETRESUID, "set user", uid, uid, uid)
}

func (c *compiler) setCaps(effective, permitted, inheritable uint64) {
	const version = unix.LINUX_CAPABILITY_VERSION_3
	lo := func(v uint64) uint64 { return v & (1<<32 - 1) }
	word := func(a, b uint64) launch.Arg { return launch.Arg{Value: lo(a) | lo(b)<<32} }
	header := c.Words(launch.Int(version))
	data := c.Words(word(effective, permitted), word(inheritable, effective>>32), word(permitted>>32, inheritable>>32))
	c.Must(unix.SYS_CAPSET, "set capabilities", header, data)
}

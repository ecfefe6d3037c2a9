package launch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

var policyNames = [...]string{Must: "must", May: "may", Else: "else", Try: "try", Find: "find"}

var fileNames = [...]string{
	FileStdin: "stdin", FileStdout: "stdout", FileStderr: "stderr",
	FileControl: "control", FileTarget: "target", FileSelf: "self",
}

// CallName gives the name of a system call that programs use, or its number.
func CallName(nr uint32) string {
	if n, ok := callNames[nr]; ok {
		return n
	}
	return fmt.Sprintf("call%d", nr)
}

// String prints the program for a person and for golden tests: one call a line, with
// what it is for at the end.
func (p *Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "spawn %s", flagNames(p.Spawn.Flags))
	if p.Spawn.Cgroup >= 0 {
		fmt.Fprintf(&b, " cgroup=%s", fileName(uint64(p.Spawn.Cgroup)))
	}
	if p.Spawn.PIDs >= 0 {
		fmt.Fprintf(&b, " pids=%s", fileName(uint64(p.Spawn.PIDs)))
	}
	fmt.Fprintf(&b, " files=%d data=%d\n", p.Files, len(p.Data))
	for i := range p.Calls {
		p.printCall(&b, i)
	}
	return b.String()
}

func (p *Program) printCall(b *strings.Builder, i int) {
	c := &p.Calls[i]
	policy := "?"
	if int(c.Policy) < len(policyNames) {
		policy = policyNames[c.Policy]
	}
	if c.Policy.skips() {
		policy += fmt.Sprintf("+%d", c.Skip)
	}
	fmt.Fprintf(b, "%4d %-6s ", i, policy)
	if c.Slot != 0 {
		fmt.Fprintf(b, "$%d = ", c.Slot)
	}
	b.WriteString(CallName(c.Nr) + "(")
	n := len(c.Args)
	for n > 0 && c.Args[n-1] == (Arg{}) {
		n--
	}
	for k, a := range c.Args[:n] {
		if k > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.printArg(a))
	}
	b.WriteString(")")
	if c.Note != "" {
		b.WriteString("  # " + c.Note)
	}
	b.WriteString("\n")
}

func (p *Program) printArg(a Arg) string {
	switch a.Kind {
	case Data:
		return p.printData(a.Value)
	case File:
		return fileName(a.Value)
	case Slot:
		return fmt.Sprintf("$%d", a.Value)
	}
	switch v := int64(a.Value); {
	case v == unix.AT_FDCWD:
		return "AT_FDCWD"
	case v < 0 && v > -4096 || v >= 0 && v < 10:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%#x", a.Value)
}

// printData shows text as text, a list of addresses as the list of what is there.
func (p *Program) printData(at uint64) string {
	var list []string
	for _, r := range p.Relocs {
		if want := at + 8*uint64(len(list)); uint64(r.At) == want {
			list = append(list, p.text(uint64(r.Target)))
		}
	}
	if len(list) > 0 {
		return "[" + strings.Join(list, " ") + "]"
	}
	return p.text(at)
}

func (p *Program) text(at uint64) string {
	if at >= uint64(len(p.Data)) {
		return fmt.Sprintf("@%d", at)
	}
	s, _, ok := bytes.Cut(p.Data[at:], []byte{0})
	if ok && len(s) > 0 && isText(s) {
		return fmt.Sprintf("%q", s)
	}
	if at%8 == 0 && len(p.Data[at:]) >= 8 { // where numbers are kept
		return fmt.Sprintf("&%#x", binary.LittleEndian.Uint64(p.Data[at:]))
	}
	return `""`
}

func isText(b []byte) bool {
	for _, r := range string(b) {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func fileName(f uint64) string {
	if f < uint64(len(fileNames)) {
		return fileNames[f]
	}
	return fmt.Sprintf("file%d", f-FirstFile)
}

func flagNames(flags uint64) string {
	names := []string{}
	for _, f := range []struct {
		flag uint64
		name string
	}{
		{unix.CLONE_NEWNS, "mnt"}, {unix.CLONE_NEWPID, "pid"}, {unix.CLONE_NEWNET, "net"}, {unix.CLONE_NEWIPC, "ipc"},
		{unix.CLONE_NEWUTS, "uts"}, {unix.CLONE_NEWCGROUP, "cgroup"}, {unix.CLONE_NEWUSER, "user"},
	} {
		if flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return "new=" + strings.Join(names, ",")
}

var callNames = map[uint32]string{
	OpEqual: "equal", OpStore: "store", OpFail: "fail", OpSkip: "skip", OpFork: "fork",
	unix.SYS_CAPSET: "capset", unix.SYS_CHDIR: "chdir", unix.SYS_CLOSE: "close", unix.SYS_CLOSE_RANGE: "close_range",
	unix.SYS_DUP3: "dup3", unix.SYS_EXECVE: "execve", unix.SYS_EXECVEAT: "execveat", unix.SYS_FCHDIR: "fchdir",
	unix.SYS_FCHOWN: "fchown", unix.SYS_FCHOWNAT: "fchownat", unix.SYS_FCHMOD: "fchmod", unix.SYS_FSCONFIG: "fsconfig",
	unix.SYS_FSMOUNT: "fsmount", unix.SYS_FSOPEN: "fsopen", unix.SYS_FSTATFS: "fstatfs", unix.SYS_IOCTL: "ioctl",
	unix.SYS_MKDIRAT: "mkdirat", unix.SYS_MKNODAT: "mknodat", unix.SYS_MOUNT: "mount", unix.SYS_MOUNT_SETATTR: "mount_setattr",
	unix.SYS_MOVE_MOUNT: "move_mount", unix.SYS_OPENAT: "openat", unix.SYS_OPENAT2: "openat2", unix.SYS_OPEN_TREE: "open_tree",
	unix.SYS_PIVOT_ROOT: "pivot_root", unix.SYS_PRCTL: "prctl", unix.SYS_PRLIMIT64: "prlimit64", unix.SYS_SECCOMP: "seccomp",
	unix.SYS_SENDMSG: "sendmsg", unix.SYS_SETDOMAINNAME: "setdomainname", unix.SYS_SETGROUPS: "setgroups",
	unix.SYS_SETHOSTNAME: "sethostname", unix.SYS_SETNS: "setns", unix.SYS_SETRESGID: "setresgid", unix.SYS_SETRESUID: "setresuid",
	unix.SYS_SETSID: "setsid", unix.SYS_STATX: "statx", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_UMASK: "umask",
	unix.SYS_UMOUNT2: "umount2", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_UNSHARE: "unshare", unix.SYS_WRITE: "write",
	unix.SYS_PERSONALITY: "personality", unix.SYS_IOPRIO_SET: "ioprio_set", unix.SYS_SCHED_SETATTR: "sched_setattr",
	unix.SYS_GETCWD: "getcwd", unix.SYS_READLINKAT: "readlinkat", unix.SYS_CHROOT: "chroot", unix.SYS_KEYCTL: "keyctl",
}

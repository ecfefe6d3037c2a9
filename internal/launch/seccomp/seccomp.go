// Package seccomp compiles OCI seccomp profiles to classic BPF.
//
// A filter first tells the architectures apart, then finds the system call by binary
// search over ranges that share an answer, then looks at arguments. As runc does: rules
// whose action is the default one count for nothing; conditions of one rule on the same
// argument are alternatives; and where the default is EPERM, calls younger than the tables
// get ENOSYS, so that libc falls back.
package seccomp

import (
	"errors"
	"fmt"
	"maps"
	"runtime"

	"github.com/elastic/go-seccomp-bpf/arch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrUnsupported marks parts of a profile that cannot be compiled.
var ErrUnsupported = errors.New("not supported")

// maxInstructions is BPF_MAXINSNS.
const maxInstructions = 4096

// Filter is a program for seccomp(SECCOMP_SET_MODE_FILTER).
type Filter struct {
	Instructions []Instruction
	Flags        uint32 // SECCOMP_FILTER_FLAG_*
}

// Instruction is struct sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// machine is an architecture of the filter.
type machine struct {
	audit uint32
	base  uint32 // added to system call numbers (x32)
	table map[string]int
}

func machines() map[specs.Arch]machine { return machinesOf(runtime.GOARCH) }

func machinesOf(goarch string) map[specs.Arch]machine {
	of := func(i *arch.Info) machine {
		return machine{audit: uint32(i.ID), base: uint32(i.SeccompMask), table: i.SyscallNames}
	}
	if goarch == "arm64" {
		m := of(arch.AARCH64)
		// The library has the kernel's former name of the call by which every program looks at files; profiles have this.
		m.table = maps.Clone(m.table)
		m.table["newfstatat"] = m.table["fstatat"]
		return map[specs.Arch]machine{specs.ArchAARCH64: m, specs.ArchARM: of(arch.ARM)}
	}
	return map[specs.Arch]machine{specs.ArchX86_64: of(arch.X86_64), specs.ArchX86: of(arch.I386), specs.ArchX32: of(arch.X32)}
}

func native() specs.Arch {
	if runtime.GOARCH == "arm64" {
		return specs.ArchAARCH64
	}
	return specs.ArchX86_64
}

// Compile compiles a profile; nil gives a nil filter. Names that an architecture does not
// know are passed over, as are architectures that the machine cannot run.
func Compile(profile *specs.LinuxSeccomp) (*Filter, error) {
	if profile == nil {
		return nil, nil
	}
	if profile.ListenerPath != "" {
		return nil, fmt.Errorf("listener: %w", ErrUnsupported)
	}
	flags, err := filterFlags(profile.Flags)
	if err != nil {
		return nil, err
	}
	def, err := action(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	e := &emitter{}
	wanted := append([]specs.Arch{native()}, profile.Architectures...)
	if err := e.architectures(profile, def, wanted); err != nil {
		return nil, err
	}
	code := e.instructions()
	if len(code) > maxInstructions {
		return nil, fmt.Errorf("%d instructions: %w", len(code), ErrUnsupported)
	}
	return &Filter{Instructions: code, Flags: flags}, nil
}

func filterFlags(list []specs.LinuxSeccompFlag) (uint32, error) {
	var flags uint32
	for _, f := range list {
		switch f {
		case "SECCOMP_FILTER_FLAG_TSYNC": // a child has one thread
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		default:
			return 0, fmt.Errorf("flag %s: %w", f, ErrUnsupported)
		}
	}
	return flags, nil
}

// action gives a filter's return value.
func action(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno) & unix.SECCOMP_RET_DATA
	}
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActErrno:
		return unix.SECCOMP_RET_ERRNO | data, nil
	case specs.ActTrace:
		return unix.SECCOMP_RET_TRACE | data, nil
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	}
	return 0, fmt.Errorf("action %q: %w", a, ErrUnsupported)
}

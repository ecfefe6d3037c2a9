package seccomp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// call is what the kernel shows to a filter.
type call struct {
	nr, arch uint32
	args     [6]uint64
}

func (c call) word(offset uint32) uint32 {
	switch {
	case offset == numberAt:
		return c.nr
	case offset == archAt:
		return c.arch
	}
	v := c.args[(offset-argsAt)/8]
	if offset%8 == 4 {
		return uint32(v >> 32)
	}
	return uint32(v)
}

// execute runs a filter as the kernel does.
func execute(code []Instruction, c call) (uint32, error) {
	var a uint32
	for pc := 0; pc < len(code); pc++ {
		i := code[pc]
		jump := func(yes bool) {
			if yes {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		switch i.Code {
		case opLoad:
			a = c.word(i.K)
		case opAnd:
			a &= i.K
		case opRet:
			return i.K, nil
		case opJA:
			pc += int(i.K)
		case opJEQ:
			jump(a == i.K)
		case opJGT:
			jump(a > i.K)
		case opJGE:
			jump(a >= i.K)
		default:
			return 0, fmt.Errorf("code %#x", i.Code)
		}
	}
	return 0, fmt.Errorf("ran off the end")
}

// expect is what the profile says, in the plainest way.
func expect(t *testing.T, p *specs.LinuxSeccomp, c call) uint32 {
	t.Helper()
	def, _ := action(p.DefaultAction, p.DefaultErrnoRet)
	m, ok := pick(p, c)
	if !ok {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	named := func(n string) bool { // x32 has numbers with two names
		nr, ok := m.table[n]
		return ok && number(m, nr) == c.nr
	}
	otherwise, conditional := def, uint32(0)
	found := false
	for _, s := range p.Syscalls {
		act, _ := action(s.Action, s.ErrnoRet)
		if act == def || !slices.ContainsFunc(s.Names, named) {
			continue
		}
		if len(s.Args) == 0 {
			otherwise = act
		} else if !found && holds(s.Args, c) {
			conditional, found = act, true
		}
	}
	switch {
	case found && conditional != otherwise:
		return conditional
	case otherwise == def && c.nr > newest(m) && def == unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM):
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return otherwise
}

func pick(p *specs.LinuxSeccomp, c call) (machine, bool) {
	for name, m := range machines() {
		if m.audit == c.arch && (m.base != 0) == (c.nr >= 0x40000000 && name != specs.ArchX86) && (name == native() || slices.Contains(p.Architectures, name)) {
			return m, true
		}
	}
	return machine{}, false
}

func holds(args []specs.LinuxSeccompArg, c call) bool {
	seen := map[uint]bool{}
	all, some, twice := true, false, false
	for _, a := range args {
		twice = twice || seen[a.Index]
		seen[a.Index] = true
		v := c.args[a.Index]
		ok := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo: v == a.Value, specs.OpNotEqual: v != a.Value, specs.OpGreaterThan: v > a.Value, specs.OpGreaterEqual: v >= a.Value,
			specs.OpLessThan: v < a.Value, specs.OpLessEqual: v <= a.Value, specs.OpMaskedEqual: v&a.Value == a.ValueTwo,
		}[a.Op]
		all, some = all && ok, some || ok
	}
	if twice {
		return some
	}
	return all
}

// calls gives calls near everything that a profile mentions, from a seed.
func calls(p *specs.LinuxSeccomp, seed uint64) []call {
	r := rand.New(rand.NewPCG(seed, 1))
	var values []uint64
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			values = append(values, a.Value, a.ValueTwo, a.Value-1, a.Value+1, a.Value|1<<40, a.ValueTwo|a.Value)
		}
	}
	values = append(values, 0, 1, ^uint64(0))
	var out []call
	for _, m := range append(slices.Collect(mapsValues()), machine{audit: 0xdead}) {
		for range 1500 {
			c := call{nr: uint32(r.IntN(600)) | m.base, arch: m.audit}
			if r.IntN(20) == 0 {
				c.nr = r.Uint32()
			}
			for i := range c.args {
				c.args[i] = values[r.IntN(len(values))]
			}
			out = append(out, c)
		}
	}
	return out
}

func mapsValues() func(func(machine) bool) {
	return func(yield func(machine) bool) {
		for _, m := range machines() {
			if !yield(m) {
				return
			}
		}
	}
}

func compare(t *testing.T, p *specs.LinuxSeccomp, seed uint64) {
	t.Helper()
	f, err := Compile(p)
	if errors.Is(err, ErrUnsupported) && strings.Contains(err.Error(), "instructions") {
		return // larger than the kernel takes
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls(p, seed) {
		got, err := execute(f.Instructions, c)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if want := expect(t, p, c); got != want {
			t.Fatalf("call %+v: %#x, want %#x", c, got, want)
		}
	}
}

func TestDefaultProfile(t *testing.T) {
	caps := &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN"}}
	p := containerd.DefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: caps}})
	compare(t, p, 1)
	f, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instructions", len(f.Instructions))
}

func TestRefused(t *testing.T) {
	tests := map[string]*specs.LinuxSeccomp{
		"action":   {DefaultAction: "SCMP_ACT_NOTIFY"},
		"listener": {DefaultAction: specs.ActAllow, ListenerPath: "/x"},
		"flag":     {DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}},
		"operator": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: "?"}}}}},
		"argument": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}}},
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile(p); err == nil {
				t.Error("compiles")
			}
		})
	}
}

// FuzzCompile compares random profiles with what they say.
func FuzzCompile(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { compare(t, randomProfile(seed), seed) })
}

func randomProfile(seed uint64) *specs.LinuxSeccomp {
	r := rand.New(rand.NewPCG(seed, 2))
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKillProcess, specs.ActTrap, specs.ActLog}
	ops := []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpNotEqual, specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpMaskedEqual,
	}
	var names []string
	for name := range machines()[native()].table {
		names = append(names, name)
	}
	slices.Sort(names)
	p := &specs.LinuxSeccomp{DefaultAction: actions[r.IntN(len(actions))]}
	for _, name := range []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchX86_64, specs.ArchAARCH64, specs.ArchARM} {
		if r.IntN(2) == 0 {
			p.Architectures = append(p.Architectures, name)
		}
	}
	for range r.IntN(60) {
		s := specs.LinuxSyscall{Action: actions[r.IntN(len(actions))]}
		for range 1 + r.IntN(12) {
			s.Names = append(s.Names, names[r.IntN(len(names))])
		}
		for range r.IntN(4) {
			a := specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Op: ops[r.IntN(len(ops))], Value: r.Uint64() >> r.IntN(64)}
			a.ValueTwo = a.Value & r.Uint64()
			s.Args = append(s.Args, a)
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

func BenchmarkCompile(b *testing.B) {
	p := containerd.DefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	for b.Loop() {
		if _, err := Compile(p); err != nil {
			b.Fatal(err)
		}
	}
}

// TestArm64Names: the default profile names what programs of arm64 call most under the names that its table has.
func TestArm64Names(t *testing.T) {
	table := machinesOf("arm64")[specs.ArchAARCH64].table
	for name, number := range map[string]int{"newfstatat": 79, "statx": 291, "openat": 56, "fstat": 80, "mmap": 222, "clone": 220, "execve": 221} {
		if got, ok := table[name]; !ok || got != number {
			t.Errorf("%s is %d, %t, not %d of the kernel's include/uapi/asm-generic/unistd.h", name, got, ok, number)
		}
	}
}

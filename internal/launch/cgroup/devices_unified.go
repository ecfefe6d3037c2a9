package cgroup

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// insn is struct bpf_insn of eBPF.
type insn struct {
	code uint8
	regs uint8 // destination in the low half, source in the high one
	off  int16
	imm  int32
}

// deviceProgram compiles device rules, of which the last that fits decides, to a program
// of type BPF_PROG_TYPE_CGROUP_DEVICE; its context is struct bpf_cgroup_dev_ctx.
func deviceProgram(rules []specs.LinuxDeviceCgroup) ([]insn, error) {
	const (
		load  = unix.BPF_LDX | unix.BPF_W | unix.BPF_MEM
		mov   = 0xb0 | unix.BPF_K | unix.BPF_ALU64
		movX  = 0xb0 | unix.BPF_X | unix.BPF_ALU64
		and   = unix.BPF_AND | unix.BPF_K | unix.BPF_ALU
		rsh   = unix.BPF_RSH | unix.BPF_K | unix.BPF_ALU
		jne   = 0x50 | unix.BPF_K | unix.BPF_JMP
		exit  = 0x90 | unix.BPF_JMP
		r     = 0 // result
		ctx   = 1
		kind  = 2
		acc   = 3
		major = 4
		minor = 5
		tmp   = 6
	)
	pair := func(dst, src uint8) uint8 { return dst | src<<4 }
	code := []insn{
		{load, pair(kind, ctx), 0, 0}, {and, kind, 0, 0xffff},
		{load, pair(acc, ctx), 0, 0}, {rsh, acc, 0, 16},
		{load, pair(major, ctx), 4, 0}, {load, pair(minor, ctx), 8, 0},
	}
	for _, rule := range slices.Backward(rules) {
		var checks []insn // of which a jump goes past the rule
		switch rule.Type {
		case "b":
			checks = append(checks, insn{jne, kind, 0, unix.BPF_DEVCG_DEV_BLOCK})
		case "c":
			checks = append(checks, insn{jne, kind, 0, unix.BPF_DEVCG_DEV_CHAR})
		case "a", "":
		default:
			return nil, fmt.Errorf("device type %q: %w", rule.Type, ErrUnsupported)
		}
		if a := accessBits(rule.Access); a != 7 {
			checks = append(checks, insn{movX, pair(tmp, acc), 0, 0}, insn{and, tmp, 0, 7 &^ a}, insn{jne, tmp, 0, 0})
		}
		if rule.Major != nil && *rule.Major >= 0 {
			checks = append(checks, insn{jne, major, 0, int32(*rule.Major)})
		}
		if rule.Minor != nil && *rule.Minor >= 0 {
			checks = append(checks, insn{jne, minor, 0, int32(*rule.Minor)})
		}
		for i := range checks {
			if checks[i].code == jne {
				checks[i].off = int16(len(checks) - i - 1 + 2)
			}
		}
		code = append(code, checks...)
		allow := int32(0)
		if rule.Allow {
			allow = 1
		}
		code = append(code, insn{mov, r, 0, allow}, insn{exit, 0, 0, 0})
		if len(checks) == 0 { // it fits always; the kernel refuses code that nothing reaches
			return code, nil
		}
	}
	return append(code, insn{mov, r, 0, 0}, insn{exit, 0, 0, 0}), nil
}

// accessBits are BPF_DEVCG_ACC_*.
func accessBits(access string) int32 {
	var bits int32
	for i, c := range []string{"m", "r", "w"} {
		if access == "" || strings.Contains(access, c) {
			bits |= 1 << i
		}
	}
	return bits
}

// filterDevices loads the rules as a program and attaches it to the v2 cgroup, in place of
// those that were attached before.
func (g *Group) filterDevices(rules []specs.LinuxDeviceCgroup) error {
	code, err := deviceProgram(rules)
	if err != nil {
		return err
	}
	program, err := loadProgram(code)
	if err != nil {
		return fmt.Errorf("load device filter: %w", err)
	}
	defer unix.Close(program)
	dir, err := unix.Open(g.dir("devices"), unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer unix.Close(dir)
	// Without BPF_F_ALLOW_MULTI, attaching replaces.
	attr := struct{ target, program, kind, flags, replace uint32 }{uint32(dir), uint32(program), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_OVERRIDE, 0}
	if _, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)); errno != 0 {
		return fmt.Errorf("attach device filter: %w", errno)
	}
	return nil
}

func loadProgram(code []insn) (int, error) {
	raw := make([]byte, 0, 8*len(code))
	for _, i := range code {
		raw = append(raw, i.code, i.regs)
		raw = binary.LittleEndian.AppendUint16(raw, uint16(i.off))
		raw = binary.LittleEndian.AppendUint32(raw, uint32(i.imm))
	}
	license := []byte("Apache\x00")
	attr := struct {
		kind, count    uint32
		insns, license uint64
		level, size    uint32
		buf            uint64
		version, flags uint32
	}{kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(code))}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&raw[0])
	pin.Pin(&license[0])
	attr.insns, attr.license = uint64(uintptr(unsafe.Pointer(&raw[0]))), uint64(uintptr(unsafe.Pointer(&license[0])))
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

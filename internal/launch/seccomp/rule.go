package seccomp

import (
	"fmt"
	"maps"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rule is one alternative for a system call: all conditions hold, then the action.
type rule struct {
	conditions []specs.LinuxSeccompArg
	action     uint32
}

// rules gives, by number, what a profile says of an architecture's system calls.
func rules(profile *specs.LinuxSeccomp, m machine, def uint32) (map[uint32][]rule, error) {
	out := map[uint32][]rule{}
	for _, s := range profile.Syscalls {
		act, err := action(s.Action, s.ErrnoRet)
		if err != nil {
			return nil, err
		}
		if act == def {
			continue
		}
		alternatives, err := split(s.Args, act)
		if err != nil {
			return nil, err
		}
		for _, name := range s.Names {
			if nr, ok := m.table[name]; ok {
				out[number(m, nr)] = append(out[number(m, nr)], alternatives...)
			}
		}
	}
	return out, nil
}

// number gives the number as the kernel shows it to a filter; tables of x32 may hold it already.
func number(m machine, nr int) uint32 { return uint32(nr) | m.base }

// split makes every condition a rule of its own when two look at one argument.
func split(args []specs.LinuxSeccompArg, act uint32) ([]rule, error) {
	seen, twice := map[uint]bool{}, false
	for _, a := range args {
		if a.Index > 5 {
			return nil, fmt.Errorf("argument %d of a system call: %w", a.Index, ErrUnsupported)
		}
		twice = twice || seen[a.Index]
		seen[a.Index] = true
	}
	if !twice {
		return []rule{{args, act}}, nil
	}
	var out []rule
	for _, a := range args {
		out = append(out, rule{[]specs.LinuxSeccompArg{a}, act})
	}
	return out, nil
}

// interval gives what happens to the numbers from start up to the next interval.
type interval struct {
	start uint32
	at    int    // the block's place, when there is one
	ret   uint32 // else the answer
	block bool
}

// search emits the code for one architecture and gives its place; the accumulator holds the number.
func (e *emitter) search(profile *specs.LinuxSeccomp, m machine, def uint32) (int, error) {
	byNumber, err := rules(profile, m, def)
	if err != nil {
		return 0, err
	}
	list := []interval{{start: 0, ret: def}}
	add := func(i interval) {
		if n := len(list); list[n-1].start == i.start {
			list = list[:n-1]
		}
		if n := len(list); n == 0 || i.block || list[n-1].block || list[n-1].ret != i.ret {
			list = append(list, i)
		}
	}
	for _, nr := range slices.Sorted(maps.Keys(byNumber)) {
		i, err := e.syscall(byNumber[nr], def)
		if err != nil {
			return 0, err
		}
		i.start = nr
		add(i)
		add(interval{start: nr + 1, ret: def})
	}
	if def == unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM) {
		add(interval{start: newest(m) + 1, ret: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	return e.tree(list), nil
}

// newest is the greatest number of the table.
func newest(m machine) uint32 {
	var top uint32
	for _, nr := range m.table {
		top = max(top, number(m, nr))
	}
	return top
}

// syscall emits the checks of one system call: the rules with conditions in their order,
// then the one without.
func (e *emitter) syscall(list []rule, def uint32) (interval, error) {
	otherwise := def
	for _, r := range list {
		if len(r.conditions) == 0 {
			otherwise = r.action
		}
	}
	list = slices.DeleteFunc(slices.Clone(list), func(r rule) bool { return len(r.conditions) == 0 })
	for len(list) > 0 && list[len(list)-1].action == otherwise { // tells nothing that follows would not
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		return interval{ret: otherwise}, nil
	}
	next := e.ret(otherwise)
	for _, r := range slices.Backward(list) {
		match := e.ret(r.action)
		for _, cond := range slices.Backward(r.conditions) {
			var err error
			if match, err = e.condition(cond, match, next); err != nil {
				return interval{}, err
			}
		}
		next = match
	}
	return interval{at: next, block: true}, nil
}

// tree emits a binary search.
func (e *emitter) tree(list []interval) int {
	if len(list) == 1 {
		if list[0].block {
			return list[0].at
		}
		return e.ret(list[0].ret)
	}
	mid := len(list) / 2
	right := e.tree(list[mid:])
	left := e.tree(list[:mid])
	return e.jump(opJGE, list[mid].start, right, left)
}

package seccomp

import (
	"slices"
	"testing"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func defaultProfile() *specs.LinuxSeccomp {
	return containerd.DefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}, Linux: &specs.Linux{}})
}

// TestCache asks for profiles that differ in one thing each.
func TestCache(t *testing.T) {
	errno := uint(39)
	last := func(p *specs.LinuxSeccomp) *specs.LinuxSyscall { return &p.Syscalls[len(p.Syscalls)-1] } // of few names
	changes := map[string]func(p *specs.LinuxSeccomp){
		"nothing":        func(*specs.LinuxSeccomp) {},
		"default action": func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActKillProcess },
		"default errno":  func(p *specs.LinuxSeccomp) { p.DefaultErrnoRet = &errno },
		"architecture":   func(p *specs.LinuxSeccomp) { p.Architectures = nil },
		"flag":           func(p *specs.LinuxSeccomp) { p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog} },
		"action":         func(p *specs.LinuxSeccomp) { last(p).Action = specs.ActLog },
		"errno": func(p *specs.LinuxSeccomp) {
			last(p).Action, last(p).ErrnoRet = specs.ActErrno, &errno
		},
		"name": func(p *specs.LinuxSeccomp) {
			last(p).Names = append(slices.Clone(last(p).Names), "reboot")
		},
		"argument": func(p *specs.LinuxSeccomp) {
			last(p).Args = []specs.LinuxSeccompArg{{Index: 1, Value: 2, Op: specs.OpEqualTo}}
		},
		"value": func(p *specs.LinuxSeccomp) {
			last(p).Args = []specs.LinuxSeccompArg{{Index: 1, Value: 3, Op: specs.OpEqualTo}}
		},
	}
	var cache Cache
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			p := defaultProfile()
			change(p)
			want, err := Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			first, err := cache.Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			again := defaultProfile()
			change(again)
			second, err := cache.Compile(again)
			if err != nil {
				t.Fatal(err)
			}
			if first != second {
				t.Error("compiled twice")
			}
			if !slices.Equal(first.Instructions, want.Instructions) || first.Flags != want.Flags {
				t.Error("another profile's filter")
			}
		})
	}
	if len(cache.filters) != len(changes) {
		t.Errorf("%d filters of %d profiles", len(cache.filters), len(changes))
	}
}

func TestCacheBound(t *testing.T) {
	var cache Cache
	for i := range uint(3 * maxCached) {
		if _, err := cache.Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: &i}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(cache.filters); n > maxCached {
		t.Errorf("%d filters are kept", n)
	}
	if _, err := cache.Compile(&specs.LinuxSeccomp{DefaultAction: "x"}); err == nil {
		t.Error("a bad profile compiles")
	}
	var none *Cache
	if f, err := none.Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow}); f == nil || err != nil {
		t.Errorf("no cache: %v", err)
	}
}

func BenchmarkCache(b *testing.B) {
	p, cache := defaultProfile(), Cache{}
	for b.Loop() {
		if _, err := cache.Compile(p); err != nil {
			b.Fatal(err)
		}
	}
}

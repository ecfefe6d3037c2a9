package container

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestTracer(t *testing.T) {
	with := func(capabilities []string, namespaces ...specs.LinuxNamespace) *specs.Spec {
		return &specs.Spec{
			Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}},
			Linux:   &specs.Linux{Namespaces: namespaces},
		}
	}
	trace := []string{"CAP_CHOWN", "CAP_SYS_PTRACE"}
	for name, test := range map[string]struct {
		spec *specs.Spec
		want bool
	}{
		"the right to trace":                      {with(trace), true},
		"other rights":                            {with([]string{"CAP_SYS_ADMIN"}), false},
		"no rights":                               {&specs.Spec{Process: &specs.Process{}}, false},
		"the right in a user namespace":           {with(trace, specs.LinuxNamespace{Type: specs.UserNamespace, Path: "/x"}), false},
		"the right, and other namespaces as well": {with(trace, specs.LinuxNamespace{Type: specs.MountNamespace}), true},
	} {
		if got := tracer(test.spec); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

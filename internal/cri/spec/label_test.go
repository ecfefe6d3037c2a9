package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestAppArmor(t *testing.T) {
	named := func(kind runtimev1.SecurityProfile_ProfileType, name string) func(*Input) {
		return func(in *Input) {
			security(in).Apparmor = &runtimev1.SecurityProfile{ProfileType: kind, LocalhostRef: name}
		}
	}
	deprecated := func(name string) func(*Input) {
		return func(in *Input) { security(in).ApparmorProfile = name } //nolint:staticcheck // still sent
	}
	cases := map[string]struct {
		ask          func(*Input)
		want, refuse string
	}{
		"loaded":            {ask: named(runtimev1.SecurityProfile_Localhost, "mine"), want: "mine"},
		"loaded, long form": {ask: named(runtimev1.SecurityProfile_Localhost, "localhost/mine"), want: "mine"},
		"not loaded":        {ask: named(runtimev1.SecurityProfile_Localhost, "other"), refuse: `"other" is not loaded`},
		"no name":           {ask: named(runtimev1.SecurityProfile_Localhost, ""), refuse: "without a name"},
		"unconfined":        {ask: named(runtimev1.SecurityProfile_Unconfined, "")},
		"nothing":           {ask: func(*Input) {}, want: "ours"},
		"runtime's":         {ask: named(runtimev1.SecurityProfile_RuntimeDefault, ""), want: "ours"},
		"deprecated, ours":  {ask: deprecated("runtime/default"), want: "ours"},
		"privileged": {ask: func(in *Input) {
			security(in).Privileged = true
		}},
		"privileged by name": {ask: func(in *Input) {
			named(runtimev1.SecurityProfile_Localhost, "mine")(in)
			security(in).Privileged = true
		}, want: "mine"},
		"deprecated field":  {ask: deprecated("localhost/mine"), want: "mine"},
		"deprecated, other": {ask: deprecated("localhost/other"), refuse: "not loaded"},
		"deprecated, none":  {ask: deprecated("unconfined")},
		"new field wins": {ask: func(in *Input) {
			deprecated("localhost/other")(in)
			named(runtimev1.SecurityProfile_Localhost, "mine")(in)
		}, want: "mine"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := input(c.ask)
			in.AppArmorDefault = "ours"
			in.AppArmorProfiles = func() ([]string, error) { return []string{"mine"}, nil }
			s, _, err := Container(in)
			if c.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), c.refuse) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil || s.Process.ApparmorProfile != c.want {
				t.Errorf("profile %q, %v", s.Process.ApparmorProfile, err)
			}
			in.AppArmorProfiles, in.AppArmorDefault = nil, ""
			if _, _, err := Container(in); (c.want == "mine") != errors.Is(err, errdefs.ErrFailedPrecondition) {
				t.Errorf("without AppArmor: %v", err)
			}
		})
	}
}

func TestSELinuxIsRefused(t *testing.T) {
	for _, have := range []bool{false, true} {
		_, _, err := Container(input(func(in *Input) {
			security(in).SelinuxOptions, in.SELinux = &runtimev1.SELinuxOption{Level: "s0:c1"}, have
		}))
		if !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), `":::s0:c1"`) {
			t.Errorf("error %v", err)
		}
	}
	if _, _, err := Container(input(func(in *Input) { security(in).SelinuxOptions = &runtimev1.SELinuxOption{} })); err != nil {
		t.Errorf("an empty label: %v", err)
	}
}

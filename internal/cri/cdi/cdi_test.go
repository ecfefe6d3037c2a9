package cdi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const description = `
cdiVersion: 0.6.0
kind: example.com/net
containerEdits:
  env: [NET=all]
devices:
- name: tun
  containerEdits:
    env: [TUN=yes]
    deviceNodes: [{path: /dev/mine, hostPath: /dev/null}]
    mounts: [{hostPath: /etc, containerPath: /opt/etc, options: [ro, bind]}]
- name: hooked
  containerEdits:
    hooks: [{hookName: createContainer, path: /bin/true}]
`

// TestInject: a device brings its own edits and those of its kind; what is not described is refused with the reason.
func TestInject(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "net.yaml"), description)
	write(t, filepath.Join(dir, "broken.json"), "{")
	spec := &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{Resources: &specs.LinuxResources{}}}
	if err := Inject(spec, []string{dir}, []string{"example.com/net=tun", "example.com/net=hooked"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"NET=all", "TUN=yes"}, spec.Process.Env); diff != "" {
		t.Error(diff)
	}
	if len(spec.Linux.Devices) != 1 || spec.Linux.Devices[0].Path != "/dev/mine" || spec.Linux.Devices[0].Minor != 3 {
		t.Errorf("devices %v", spec.Linux.Devices)
	}
	if rules := spec.Linux.Resources.Devices; len(rules) != 1 || !rules[0].Allow || *rules[0].Minor != 3 {
		t.Errorf("device rules %v", rules)
	}
	if diff := cmp.Diff([]specs.Mount{{Source: "/etc", Destination: "/opt/etc", Options: []string{"ro", "bind"}}}, spec.Mounts); diff != "" {
		t.Error(diff)
	}
	if spec.Hooks == nil || len(spec.Hooks.CreateContainer) != 1 {
		t.Errorf("hooks %v", spec.Hooks)
	}
	err := Inject(spec, []string{dir}, []string{"example.com/net=tun", "example.com/net=none"})
	if !errdefs.IsInvalidArgument(err) {
		t.Fatalf("unknown device: %v", err)
	}
	for _, want := range []string{"example.com/net=none", dir, "broken.json"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}

func TestAsked(t *testing.T) {
	config := &runtimev1.ContainerConfig{
		CDIDevices:  []*runtimev1.CDIDevice{{Name: "a.com/x=1"}, {Name: "a.com/x=1"}},
		Annotations: map[string]string{"cdi.k8s.io/plugin": "a.com/x=2,a.com/x=1", "other": "a.com/x=3"},
	}
	names, err := Asked(config)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.com/x=1", "a.com/x=2"}, names); diff != "" {
		t.Error(diff)
	}
	config.Annotations["cdi.k8s.io/plugin"] = "nonsense"
	if _, err := Asked(config); !errdefs.IsInvalidArgument(err) {
		t.Errorf("nonsense: %v", err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

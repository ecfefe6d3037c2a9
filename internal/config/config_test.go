package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefault(t *testing.T) {
	t.Setenv(DataDirEnv, "")
	t.Setenv(RunDirEnv, "")
	got := Default()
	got.NodeName = "machine"
	want := Instance{
		DataDir: "/var/lib/mayfly", RunDir: "/run/mayfly", Listen: "127.0.0.1:6443", PodCIDRs: []string{"10.88.0.0/16"},
		NodeName: "machine", CNIConfDir: "auto", CNIBinDir: "/opt/cni/bin:/usr/lib/cni", CgroupDriver: CgroupFS, ImageGCHigh: 85, ImageGCLow: 80, LogLevel: "info", LogFormat: "text",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCNI(t *testing.T) {
	type answer struct {
		ConfDir   string
		BinDirs   []string
		Automatic bool
	}
	for value, want := range map[string]answer{
		CNIAuto:  {"/etc/cni/net.d", []string{"/a", "/b"}, true},
		CNINone:  {"", []string{"/a", "/b"}, false},
		"":       {"", []string{"/a", "/b"}, false},
		"/x/../": {"/", []string{"/a", "/b"}, false},
	} {
		i := Instance{CNIConfDir: value, CNIBinDir: "/a:/b/c/.."}
		if err := i.Complete(); err != nil {
			t.Fatal(err)
		}
		var got answer
		got.ConfDir, got.BinDirs, got.Automatic = i.CNI()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("--cni-conf-dir %q (-want +got):\n%s", value, diff)
		}
	}
}

func TestInstancesOfOtherDirectoriesHaveOtherNames(t *testing.T) {
	a, b := Instance{DataDir: "/a"}, Instance{DataDir: "/b"}
	if a.ID() == b.ID() || a.CgroupRoot() == b.CgroupRoot() {
		t.Errorf("%s and %s share names", a.DataDir, b.DataDir)
	}
	if again := (Instance{DataDir: "/a/"}); a.ID() != again.ID() {
		t.Error("the ID depends on how the path is written")
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Instance)
		want   string
	}{
		"port":          {func(i *Instance) { i.Listen = "127.0.0.1:http2000" }, "--listen"},
		"no port":       {func(i *Instance) { i.Listen = "127.0.0.1" }, "--listen"},
		"host":          {func(i *Instance) { i.Listen = "example.com:6443" }, "--listen"},
		"cidr":          {func(i *Instance) { i.PodCIDRs = []string{"10.0.0.0"} }, "--pod-cidr"},
		"small cidr":    {func(i *Instance) { i.PodCIDRs = []string{"10.0.0.0/30"} }, "no room"},
		"same family":   {func(i *Instance) { i.PodCIDRs = []string{"10.0.0.0/16", "10.1.0.0/16"} }, "families"},
		"node name":     {func(i *Instance) { i.NodeName = "UPPER" }, "--node-name"},
		"pod pids":      {func(i *Instance) { i.PodMaxPIDs = -1 }, "--pod-max-pids"},
		"sysctl":        {func(i *Instance) { i.UnsafeSysctls = []string{"net.*", "vm.swappiness"} }, "vm.swappiness"},
		"cgroup driver": {func(i *Instance) { i.CgroupDriver = "cgroup" }, "--cgroup-driver"},
		"one dir":       {func(i *Instance) { i.RunDir = i.DataDir }, "--run-dir"},
		"cni":           {func(i *Instance) { i.CNIConfDir = "/nowhere" }, "--cni-conf-dir /nowhere"},
		"manifests":     {func(i *Instance) { i.PodManifestPath = "/nowhere" }, "--pod-manifest-path /nowhere"},
		"image gc":      {func(i *Instance) { i.ImageGCHigh = 80 }, "--image-gc-high-threshold"},
		"long dir":      {func(i *Instance) { i.RunDir = "/" + strings.Repeat("a", 100) }, "shorter"},
	} {
		t.Run(name, func(t *testing.T) {
			i := Default()
			i.NodeName = "n"
			tc.change(&i)
			if err := i.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v does not say %s", err, tc.want)
			}
		})
	}
}

package apparmor

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// refusal is EACCES in the words of shells, and of mount(8).
var refusal = regexp.MustCompile("(?i)denied|write-protected")

// TestProfile has the kernel judge the profile, and a shell find out what it allows.
func TestProfile(t *testing.T) {
	name := fmt.Sprintf("mayflytest-%d", os.Getpid())
	loaded, err := Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if loaded == "" {
		t.Skip("NOT TESTED on this machine, which has no AppArmor: run `hack/vm.sh ./internal/cri/apparmor`")
	}
	t.Cleanup(func() {
		for range 2 { // it may be repeated
			if err := Unload(name); err != nil {
				t.Error(err)
			}
		}
	})
	dir := t.TempDir()
	tests := map[string]struct {
		script string
		denied bool
	}{
		"profile":      {`read p </proc/self/attr/current; test "$p" = "` + name + ` (enforce)"`, false},
		"files":        {"echo x >" + dir + "/x && cat " + dir + "/x", false},
		"own process":  {"echo 900 >/proc/self/oom_score_adj", false},
		"net settings": {"echo 64 >/proc/sys/net/ipv4/ip_default_ttl", false},
		"shm settings": {"cat /proc/sys/kernel/shmmni >/proc/sys/kernel/shmmni", false},
		"settings":     {"cat /proc/sys/vm/swappiness >/proc/sys/vm/swappiness", true},
		"core pattern": {"cat /proc/sys/kernel/core_pattern >/proc/sys/kernel/core_pattern", true},
		"sysrq":        {"echo h >/proc/sysrq-trigger", true},
		"kernel":       {"head -c 1 /proc/kcore", true},
		"sysfs":        {"echo change >/sys/class/net/lo/uevent", true},
		"mount":        {"mount --rw -t tmpfs none " + dir, true},
		"signal":       {fmt.Sprintf("kill -URG %d", os.Getpid()), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			output, err := exec.Command("aa-exec", "-p", loaded, "--", "bash", "-c", test.script).CombinedOutput()
			if (err != nil) != test.denied || test.denied && !refusal.Match(output) {
				t.Errorf("%s: %v, %s", test.script, err, output)
			}
		})
	}
}

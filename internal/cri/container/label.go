package container

import (
	"fmt"
	"os"
	"strings"
)

const (
	// appArmorFile lists a profile in each line, as "name (mode)"; apparmorfs.c of Linux.
	appArmorFile = "/sys/kernel/security/apparmor/profiles"
	selinuxFile  = "/sys/fs/selinux/enforce"
)

// appArmorProfiles returns what lists the kernel's profiles, nil where it has no AppArmor.
func appArmorProfiles() func() ([]string, error) {
	if !exists(appArmorFile) {
		return nil
	}
	return func() ([]string, error) {
		content, err := os.ReadFile(appArmorFile)
		if err != nil {
			return nil, fmt.Errorf("list AppArmor profiles: %w", err)
		}
		var names []string
		for line := range strings.Lines(string(content)) {
			if end := strings.LastIndex(line, " ("); end > 0 {
				names = append(names, line[:end])
			}
		}
		return names, nil
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

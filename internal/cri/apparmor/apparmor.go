// Package apparmor gives the kernel the profile of containers that ask for the runtime's own, where the machine has AppArmor
// and apparmor_parser(8) to compile profiles. It keeps containers from what no namespace covers: the kernel's settings and
// file systems, and processes of other profiles. See apparmor.d(5).
package apparmor

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// directory is where the kernel shows AppArmor, if it has it: apparmorfs.c of Linux.
const directory = "/sys/kernel/security/apparmor"

//go:embed profile
var profile string

// Text is the profile under a name.
func Text(name string) string { return strings.ReplaceAll(profile, "NAME", name) }

// Load has the kernel know the profile under a name, and returns the name; empty where the machine has no AppArmor.
func Load(ctx context.Context, name string) (string, error) {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(enabled)) != "Y" {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find AppArmor: %w", err)
	}
	if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) {
		return "", nil // as in a container, where the kernel's AppArmor is somebody else's
	}
	parser, err := find()
	if parser == "" || err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, parser, "--replace", "--skip-cache", "--quiet")
	cmd.Stdin = strings.NewReader(Text(name))
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("load AppArmor profile %s by %s: %w: %s", name, parser, err, strings.TrimSpace(string(output)))
	}
	return name, nil
}

// find returns the parser's path, empty where there is none; services often have no /sbin in their PATH.
func find() (string, error) {
	for _, name := range []string{"apparmor_parser", "/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"} {
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find apparmor_parser: %w", err)
		}
	}
	return "", nil
}

// Unload has the kernel forget a profile. One that it does not know is no error.
func Unload(name string) error {
	err := os.WriteFile(directory+"/.remove", []byte(name), 0)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("unload AppArmor profile %s: %w", name, err)
}

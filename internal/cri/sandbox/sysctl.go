package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// CheckSysctls refuses what does not belong to the sandbox's own namespaces, for it would change the whole machine.
func CheckSysctls(sysctls map[string]string, network, ipc bool) error {
	for _, name := range slices.Sorted(maps.Keys(sysctls)) {
		dotted := strings.ReplaceAll(name, "/", ".")
		switch {
		case strings.Contains(dotted, ".."), strings.HasPrefix(dotted, "."), dotted == "":
			return fmt.Errorf("sysctl %q: not a name: %w", name, errdefs.ErrInvalidArgument)
		case strings.HasPrefix(dotted, "net."):
			if !network {
				return fmt.Errorf("sysctl %q belongs to the host, whose network the sandbox shares: %w", name, errdefs.ErrInvalidArgument)
			}
		case isIPC(dotted):
			if !ipc {
				return fmt.Errorf("sysctl %q belongs to the host, whose IPC the sandbox shares: %w", name, errdefs.ErrInvalidArgument)
			}
		default:
			return fmt.Errorf("sysctl %q is not kept per namespace by the kernel: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// isIPC knows the sysctls of an IPC namespace (ipc_namespaces(7), sysctl/kernel.rst).
func isIPC(name string) bool {
	return name == "kernel.sem" || strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || strings.HasPrefix(name, "fs.mqueue.")
}

// writeSysctls runs on a thread inside the namespaces. With a network of its own a Pod may ping and bind low ports
// without privileges, as in containerd 2, unless it says otherwise.
func writeSysctls(sysctls map[string]string, network bool) error {
	if network {
		for name, value := range map[string]string{
			"net.ipv4.ip_unprivileged_port_start": "0",
			"net.ipv4.ping_group_range":           "0 2147483647",
		} {
			if _, asked := sysctls[name]; asked {
				continue
			}
			if err := writeSysctl(name, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sysctls)) {
		if err := writeSysctl(name, sysctls[name]); err != nil {
			return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// sysctlPath follows sysctl(8): in a name whose first separator is a slash, dots are part of names.
func sysctlPath(name string) string {
	if dot, slash := strings.IndexByte(name, '.'), strings.IndexByte(name, '/'); slash < 0 || (dot >= 0 && dot < slash) {
		name = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	return filepath.Join("/proc/sys", name)
}

func writeSysctl(name, value string) error {
	file, err := os.OpenFile(sysctlPath(name), os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(value)
		file.Close()
	}
	if err != nil {
		return fmt.Errorf("set sysctl %s to %q: %w", name, value, err)
	}
	return nil
}

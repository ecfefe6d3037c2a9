package container

import (
	"fmt"
	"os"
	"path/filepath"
)

// scaffold is the lowest layer of every container: places for what is mounted into all of them. An image that has them
// goes before; where it lacks them, they need not be made anew in each container's own layer.
func (s *Service) scaffold() string { return filepath.Join(s.cfg.RootDir, "scaffold") }

// rootfs is where every container's root is mounted, in a mount namespace of its own.
func (s *Service) rootfs() string { return filepath.Join(s.cfg.RootDir, "rootfs") }

func (s *Service) makeScaffold() error {
	for _, dir := range []string{s.rootfs(), s.scaffold(), "dev", "etc", "proc", "sys"} {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.scaffold(), dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make scaffold of containers: %w", err)
		}
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
			return fmt.Errorf("make scaffold of containers: %w", err)
		}
	}
	for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
		if err := os.WriteFile(filepath.Join(s.scaffold(), "etc", name), nil, 0o644); err != nil {
			return fmt.Errorf("make scaffold of containers: %w", err)
		}
	}
	return nil
}

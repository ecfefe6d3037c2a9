package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// marker stands in each directory that belongs to an instance and holds its ID. Only a marked directory is ever
// removed, and one that another instance marked, or that holds somebody's files, is never used.
const marker = ".mayfly-instance"

// registryConfigs is what an administrator may have laid into the data directory before anything else.
const registryConfigs = "certs.d"

// claim creates dir for the instance id, or takes it when it is empty or already the instance's.
func claim(dir, flag, id string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("create %s: %w", flag, err)
	}
	owner, err := owner(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	switch owner {
	case id:
		return nil
	case "":
	default:
		return fmt.Errorf("%s %s belongs to another Mayfly (instance %s): choose another directory", flag, dir, owner)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", flag, err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == registryConfigs })
	if len(entries) > 0 {
		return fmt.Errorf("%s %s holds other files (%s): choose an empty or a new directory", flag, dir, entries[0].Name())
	}
	if err := os.WriteFile(filepath.Join(dir, marker), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("mark %s: %w", flag, err)
	}
	return nil
}

func owner(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, marker))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(data)), err
}

// discard removes a directory of the instance. It refuses while something is mounted below it, since removing would
// reach through the mount into what is not Mayfly's.
func discard(dir, id string) error {
	owner, err := owner(dir)
	if err != nil {
		return fmt.Errorf("read marker: %w", err)
	}
	if owner != id {
		return nil
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("read mount table: %w", err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("keep %s: %s is still mounted; unmount it and run `mayfly down` again", dir, mounts[0].Mountpoint)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	return nil
}

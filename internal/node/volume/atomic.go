package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// file is one file of a volume that is made from API objects.
type file struct {
	data []byte
	mode os.FileMode
	uid  *int64
}

const dataLink = "..data"

// writeAtomic makes dir hold exactly the files, so that a reader sees all of the old ones or all of the new ones:
// they are written to a new directory, ..data is moved to point at it, and names at the top are links into ..data.
// A layout that is right already is left alone.
func writeAtomic(dir string, files map[string]file, gid *int64) error {
	for name := range files {
		if !filepath.IsLocal(name) || strings.HasPrefix(name, "..") {
			return fmt.Errorf("invalid path %q in volume", name)
		}
	}
	old, _ := os.Readlink(filepath.Join(dir, dataLink))
	if old != "" && same(filepath.Join(dir, old), files) {
		return nil
	}
	fresh, err := os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return fmt.Errorf("make volume directory: %w", err)
	}
	if err := fill(fresh, files, gid); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := replaceLink(filepath.Join(dir, dataLink), filepath.Base(fresh)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := linkTop(dir, files); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

func fill(dir string, files map[string]file, gid *int64) error {
	if err := own(dir, nil, gid); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("open volume directory to readers: %w", err)
	}
	for name, f := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make volume directory: %w", err)
		}
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return fmt.Errorf("write volume file: %w", err)
		}
		if err := own(path, f.uid, gid); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return fmt.Errorf("set volume file's mode: %w", err)
		}
	}
	return nil
}

func own(path string, uid, gid *int64) error {
	if uid == nil && gid == nil {
		return nil
	}
	u, g := -1, -1
	if uid != nil {
		u = int(*uid)
	}
	if gid != nil {
		g = int(*gid)
	}
	if err := os.Lchown(path, u, g); err != nil {
		return fmt.Errorf("give volume file away: %w", err)
	}
	return nil
}

// replaceLink points link at target, in one step.
func replaceLink(link, target string) error {
	temporary := link + "_tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale link: %w", err)
	}
	if err := os.Symlink(target, temporary); err != nil {
		return fmt.Errorf("link volume data: %w", err)
	}
	if err := os.Rename(temporary, link); err != nil {
		return fmt.Errorf("switch volume data: %w", err)
	}
	return nil
}

// linkTop makes the user's names links into ..data, and removes those that are gone.
func linkTop(dir string, files map[string]file) error {
	wanted := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		wanted[top] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read volume directory: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if wanted[name] {
			delete(wanted, name)
			continue
		}
		if strings.HasPrefix(name, "..") {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove stale volume file: %w", err)
		}
	}
	for top := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, top), filepath.Join(dir, top)); err != nil {
			return fmt.Errorf("link volume file: %w", err)
		}
	}
	return nil
}

// same tells whether dir holds exactly these files.
func same(dir string, files map[string]file) bool {
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ok := files[name]
		if !ok {
			return fs.ErrInvalid
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !bytes.Equal(data, want.data) || info.Mode().Perm() != want.mode.Perm() {
			return fs.ErrInvalid
		}
		seen++
		return nil
	})
	return err == nil && seen == len(files)
}

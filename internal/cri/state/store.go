package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const suffix = ".json"

// Store keeps records of one type R in one directory. It is safe for concurrent use; writers of one record must
// take turns themselves.
type Store[R any] struct {
	dir        string
	quarantine string
	flush      *flusher
}

// Open makes the directory root/kind if need be and returns its store. Call [Store.Close] at the end.
func Open[R any](root, kind string) (*Store[R], error) {
	s := &Store[R]{dir: filepath.Join(root, kind), quarantine: filepath.Join(root, "quarantine"), flush: newFlusher()}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	return s, nil
}

// Close waits for what was written to reach the disk.
func (s *Store[R]) Close() { s.flush.close() }

// Save writes the record of id in place of any older one.
func (s *Store[R]) Save(id string, record *R) error {
	data, err := encode(id, record)
	if err != nil {
		return err
	}
	path := s.path(id)
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write state of %s: %w", id, err)
	}
	if _, err = file.Write(data); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		file.Close()
		os.Remove(path + ".new")
		return fmt.Errorf("write state of %s: %w", id, err)
	}
	s.flush.add(file)
	return nil
}

// Delete forgets the record of id. One that does not exist is no error.
func (s *Store[R]) Delete(id string) error {
	if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete state of %s: %w", id, err)
	}
	return nil
}

// Load reads every record. A file that cannot be read is moved to quarantine with an error that names it; the rest
// is loaded all the same. Both results may be non-empty. An empty file is a new name that had reached the disk when the
// power failed, before any content had: nothing is known of what it was to tell, so it is dropped.
func (s *Store[R]) Load() (map[string]*R, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list state directory: %w", err)
	}
	records := map[string]*R{}
	var errs []error
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), suffix)
		if !ok { // an unfinished write: the record before it still stands, or the thing never began
			if strings.HasSuffix(entry.Name(), suffix+".new") {
				os.Remove(filepath.Join(s.dir, entry.Name()))
			}
			continue
		}
		record, err := s.read(id)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			os.Remove(s.path(id))
			continue
		}
		if err != nil {
			errs = append(errs, s.setAside(id, err))
			continue
		}
		records[id] = record
	}
	return records, errors.Join(errs...)
}

func (s *Store[R]) read(id string) (*R, error) {
	data, err := os.ReadFile(s.path(id))
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	record := new(R)
	return record, Decode(data, id, record)
}

// setAside keeps a broken file where nothing overwrites it, and says what is wrong with it.
func (s *Store[R]) setAside(id string, cause error) error {
	path := s.path(id)
	kept := s.kept(id)
	err := os.MkdirAll(s.quarantine, 0o700)
	if err == nil {
		err = os.Rename(path, kept)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("state file %s: %w", path, cause), err)
	}
	return fmt.Errorf("state file %s (kept as %s): %w", path, kept, cause)
}

// Quarantined tells whether the record of id was set aside, now or in an earlier life: what belongs to it is to be
// kept for a person.
func (s *Store[R]) Quarantined(id string) bool {
	_, err := os.Lstat(s.kept(id))
	return err == nil
}

func (s *Store[R]) kept(id string) string {
	return filepath.Join(s.quarantine, filepath.Base(s.dir)+"-"+id+suffix)
}

func (s *Store[R]) path(id string) string { return filepath.Join(s.dir, id+suffix) }

// flusher brings written files to the disk behind their writers' backs, one at a time.
type flusher struct {
	files chan *os.File
	done  sync.WaitGroup
}

func newFlusher() *flusher {
	f := &flusher{files: make(chan *os.File, 64)}
	f.done.Go(func() {
		for file := range f.files {
			if err := unix.Fdatasync(int(file.Fd())); err != nil {
				slog.Error("state file not flushed", "file", file.Name(), "err", err)
			}
			file.Close()
		}
	})
	return f
}

// add takes the file over. When the disk is far behind it is left to the kernel's own write-back.
func (f *flusher) add(file *os.File) {
	select {
	case f.files <- file:
	default:
		file.Close()
	}
}

func (f *flusher) close() {
	close(f.files)
	f.done.Wait()
}

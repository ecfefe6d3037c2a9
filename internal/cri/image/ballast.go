package image

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// ballastSize is far more than the databases write to give something up.
const ballastSize = 1 << 20

// ballast is a file that takes room on the disk only to give it back where it is full to the last byte: the databases must
// be written to before anything is deleted.
type ballast struct {
	path string
	mu   sync.Mutex
	uses int
}

// without runs work while the ballast's room is free.
func (b *ballast) without(work func() error) error {
	b.drop()
	defer b.fill()
	return work()
}

func (b *ballast) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uses++; b.uses > 1 {
		return
	}
	if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		slog.Warn("no room is given back to the image store", "err", err)
	}
}

// fill takes the room again. On a disk that is still full it does so the next time.
func (b *ballast) fill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uses--; b.uses > 0 {
		return
	}
	file, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	if err := unix.Fallocate(int(file.Fd()), 0, 0, ballastSize); err != nil {
		slog.Debug("no room is kept for the image store", "file", b.path, "err", err)
	}
}

func (s *Store) openBallast() {
	s.ballast = &ballast{path: filepath.Join(s.config.RootDir, "ballast"), uses: 1}
	s.ballast.fill()
}

package main

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Events of linux/fcntl.h, which x/sys lacks.
const (
	dnDelete    = 0x8
	dnRename    = 0x10
	dnMultishot = 0x80000000
)

// lookout tells when a monitor without a client loses its socket, so that nobody can reach
// it ever again. It is dnotify (F_NOTIFY of fcntl(2)), which a signal announces: inotify
// instances are few (128 for all of root's programs), and a host has hundreds of monitors.
type lookout struct {
	path     string
	dev, ino uint64
	dir      int // watched while there is no client, -1 otherwise
	orphaned bool
}

func newLookout(path string) lookout {
	o := lookout{path: path, dir: -1}
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil {
		o.dev, o.ino = st.Dev, st.Ino
	}
	return o
}

// open begins to watch. Where the kernel cannot, the monitor is idle until somebody ends it.
func (o *lookout) open() {
	if o.path == "" || o.dir >= 0 || o.orphaned {
		return
	}
	fd, err := unix.Open(filepath.Dir(o.path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		if _, err = unix.FcntlInt(uintptr(fd), unix.F_NOTIFY, dnDelete|dnRename|dnMultishot); err != nil {
			unix.Close(fd)
		} else {
			o.dir = fd
		}
	}
	o.look()
}

func (o *lookout) close() {
	if o.dir >= 0 {
		unix.Close(o.dir)
	}
	o.dir = -1
}

// look finds out whether the socket is still there and still this monitor's.
func (o *lookout) look() {
	if o.path == "" {
		return
	}
	var st unix.Stat_t
	err := unix.Lstat(o.path, &st)
	if errors.Is(err, unix.ENOENT) || err == nil && (st.Dev != o.dev || st.Ino != o.ino) {
		o.orphaned = true
		o.close()
	}
}

// endOrphan kills what runs in a monitor that nobody can reach, as its server would that
// finds no monitor, and says whether all has ended.
func (l *loop) endOrphan() bool {
	ended := l.launching == 0
	for _, c := range l.containers {
		if c.status.Phase == running {
			_ = c.signal(unix.SIGKILL, true)
			ended = false
		}
	}
	return ended
}

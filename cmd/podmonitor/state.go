package main

import (
	"cmp"
	"slices"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// Phases of a container, as wire.Status has them.
const (
	launching = 0
	running   = 1
	exited    = 2
)

func (l *loop) statuses() []wire.Status {
	list := make([]wire.Status, 0, len(l.containers))
	for _, c := range l.containers {
		if c.status.Phase != launching {
			list = append(list, c.status)
		}
	}
	slices.SortFunc(list, func(a, b wire.Status) int {
		return cmp.Or(cmp.Compare(a.StartedAt, b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// save writes the state file anew. It matters only while the machine is up: nothing
// of it outlives a crash of the kernel, so nothing waits for the disk.
func (l *loop) save() error {
	if l.state == "" {
		return nil
	}
	temporary := l.state + ".new"
	fd, err := unix.Open(temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	content := wire.EncodeState(l.statuses())
	n, err := unix.Write(fd, content)
	unix.Close(fd)
	if err != nil {
		return err
	}
	if n != len(content) {
		return unix.ENOSPC
	}
	return unix.Rename(temporary, l.state)
}

package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
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
	if err := os.WriteFile(temporary, wire.EncodeState(l.statuses()), 0o600); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := os.Rename(temporary, l.state); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

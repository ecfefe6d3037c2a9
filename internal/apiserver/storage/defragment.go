package storage

import (
	"context"
	"log/slog"
	"time"
)

const (
	// defragmentBytes is the size of a database below which its unused part is not worth the time to free it.
	defragmentBytes = 64 << 20
	// defragmentInterval is how often the database is looked at. What etcd's compactor removes, every five minutes,
	// leaves unused pages.
	defragmentInterval = 10 * time.Minute
)

// tend gives unused space back now and then, until ctx ends.
func (e *Etcd) tend(ctx context.Context, interval time.Duration, least int64) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.defragment(least)
		}
	}
}

// defragment gives the unused half of a database that has at least so many bytes back to the file system. Requests
// wait meanwhile: a second for each 200 MB in use, about.
func (e *Etcd) defragment(least int64) {
	b := e.server.Backend()
	size, used := b.Size(), b.SizeInUse()
	if size < least || used > size/2 {
		return
	}
	// The new file stands beside the old one for a while.
	if room, err := free(e.dir); err != nil || room < used+deleteReserveBytes {
		return
	}
	if err := e.space.replaced(b.Defrag); err != nil {
		slog.Warn("defragment etcd", "dir", e.dir, "err", err)
		return
	}
	slog.Info("etcd is defragmented", "dir", e.dir, "before", size, "after", b.Size())
}

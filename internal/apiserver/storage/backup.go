package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

// revisionBump is how far resourceVersions jump in a restore, past all that clients can have seen after the snapshot
// was taken: their watches begin anew instead of going back in time.
const revisionBump = 1_000_000_000

// ErrNotHere says that the data is in an etcd elsewhere.
var ErrNotHere = errors.New("the API's data is in an external etcd: use etcdctl there")

func dataDir(dir string) string { return filepath.Join(dir, "data") }

// Snapshot writes all data as of one moment to w, in etcd's own format: the database, then its SHA-256.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	if s.etcd == nil {
		return ErrNotHere
	}
	r, err := s.etcd.client.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	_, err = io.Copy(w, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Restore makes the data of the etcd in dir from a snapshot that [Store.Snapshot] or etcdctl wrote, whose sum must be
// right. There must be none yet, and nothing may run on dir. It happens whole or not at all.
func Restore(file, dir string) error {
	if _, err := os.Stat(dataDir(dir)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s holds data already: move it away first", dataDir(dir)), err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create etcd directory: %w", err)
	}
	making := dataDir(dir) + ".restore"
	if err := os.RemoveAll(making); err != nil {
		return fmt.Errorf("remove interrupted restore: %w", err)
	}
	sizeSegments()
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: memberName, OutputDataDir: making, PeerURLs: []string{peerURL},
		InitialCluster: memberName + "=" + peerURL, InitialClusterToken: clusterToken,
		RevisionBump: revisionBump, MarkCompacted: true,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%s is no whole snapshot: %w", file, err), os.RemoveAll(making))
	}
	if err := os.Rename(making, dataDir(dir)); err != nil {
		return fmt.Errorf("put restored data in place: %w", err)
	}
	return syncDirectory(dir)
}

// syncDirectory makes what was renamed in dir outlive a power failure.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync restored data: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"golang.org/x/sys/unix"
)

const (
	// reserveBytes must be free for a write: etcd ends for good when it cannot make its next log segment.
	reserveBytes = 4 * walSegmentBytes
	// deleteReserveBytes must be free for what makes room: deletions, and the statuses that let them end.
	deleteReserveBytes = 2 * walSegmentBytes
	// aheadBytes of the database file are backed by disk blocks beyond what it uses, so that what the log has
	// accepted reaches the database whatever others do to the disk meanwhile.
	aheadBytes = 8 << 20
	// With ampleBytes free nobody fills the disk within ampleTime: the kernel is asked no more often then.
	ampleBytes = 1 << 30
	ampleTime  = 10 * time.Millisecond
	// pageBytes is what a small write costs the database, in pages copied.
	pageBytes = 32 << 10
)

// ReasonInsufficientStorage is the reason of the status that a write gets while the disk has no room for it.
const ReasonInsufficientStorage metav1.StatusReason = "InsufficientStorage"

// space watches over the room that etcd has on its disk. It asks the kernel before each write, which takes about a
// microsecond, and so knows at the next write when there is room again.
type space struct {
	dir      string
	database *os.File
	size     func() int64 // of the database, as of its last commit

	mu        sync.Mutex
	allocated int64 // bytes of database that have blocks
	committed int64 // size when pending was last zero
	pending   int64 // bytes written since
	ample     int64 // bytes that were free at asked, when those were ample
	asked     time.Time
}

func newSpace(dir string, size func() int64) (*space, error) {
	f, err := openDatabase(dir)
	if err != nil {
		return nil, err
	}
	return &space{dir: dir, database: f, size: size}, nil
}

func openDatabase(dir string) (*os.File, error) {
	f, err := os.OpenFile(databasePath(dir), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open etcd database: %w", err)
	}
	return f, nil
}

// replaced holds writes back while replace puts another file in the place of the database.
func (s *space) replaced(replace func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	replaceErr := replace()
	f, err := openDatabase(s.dir)
	if err != nil {
		return errors.Join(replaceErr, err)
	}
	err = s.database.Close()
	s.database, s.allocated, s.committed = f, 0, 0
	return errors.Join(replaceErr, err)
}

func databasePath(dir string) string { return filepath.Join(dir, "data", "member", "snap", "db") }

// free are the bytes that this process may still take of dir's filesystem.
func free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	blocks := s.Bavail
	if os.Geteuid() == 0 {
		blocks = s.Bfree
	}
	return int64(blocks) * s.Bsize, nil
}

// admit refuses a write of n bytes that etcd may have no room for.
func (s *space) admit(ctx context.Context, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, err := s.free()
	if err != nil {
		return err
	}
	if need := reserve(ctx); have < need {
		return full(s.dir, have, need)
	}
	if size := s.size(); size != s.committed {
		s.committed, s.pending = size, 0
	}
	s.pending += int64(2*n) + pageBytes
	if s.committed+s.pending+aheadBytes <= s.allocated {
		return nil
	}
	return s.allocate(s.committed+s.pending+2*aheadBytes, have)
}

// free asks the kernel, unless it said a moment ago that there is plenty.
func (s *space) free() (int64, error) {
	now := time.Now()
	if s.ample > 0 && now.Sub(s.asked) < ampleTime {
		return s.ample, nil
	}
	have, err := free(s.dir)
	if s.ample = 0; err == nil && have >= ampleBytes {
		s.ample, s.asked = have, now
	}
	return have, err
}

// allocate gives the database blocks up to the byte to. Filesystems that cannot do so are left to the reserve.
func (s *space) allocate(to, have int64) error {
	err := unix.Fallocate(int(s.database.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, to)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return full(s.dir, have, to-s.allocated)
	case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		s.allocated = to
		return nil
	default:
		return fmt.Errorf("reserve room for etcd in %s: %w", s.dir, err)
	}
}

// reserve is what must be free for the request of ctx.
func reserve(ctx context.Context) int64 {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	if ok && (info.Verb == "delete" || info.Verb == "deletecollection" || info.Resource == "pods" && info.Subresource == "status") {
		return deleteReserveBytes
	}
	return reserveBytes
}

// full is the answer to a write that finds no room.
func full(dir string, have, need int64) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: ReasonInsufficientStorage,
		Message: fmt.Sprintf("no room on the disk of %s: %d MiB are free and a write needs %d MiB; nothing was changed. "+
			"Free space on that filesystem: reading goes on, deleting works as long as there is a little room, and writing works again by itself once there is enough",
			dir, have>>20, need>>20),
	}}
}

func (s *space) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.database.Close()
}

// guarded asks for room before each write.
type guarded struct {
	kubernetes.Interface
	space *space
}

// OptimisticPut implements kubernetes.Interface.
func (g guarded) OptimisticPut(ctx context.Context, key string, value []byte, revision int64, opts kubernetes.PutOptions) (kubernetes.PutResponse, error) {
	if err := g.space.admit(ctx, len(value)); err != nil {
		return kubernetes.PutResponse{}, err
	}
	return g.Interface.OptimisticPut(ctx, key, value, revision, opts)
}

// OptimisticDelete implements kubernetes.Interface.
func (g guarded) OptimisticDelete(ctx context.Context, key string, revision int64, opts kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	if err := g.space.admit(ctx, 0); err != nil {
		return kubernetes.DeleteResponse{}, err
	}
	return g.Interface.OptimisticDelete(ctx, key, revision, opts)
}

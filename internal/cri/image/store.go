package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/transfer"
	"github.com/containerd/containerd/v2/core/transfer/local"
	"github.com/containerd/containerd/v2/core/unpack"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// namespace is containerd's name for the owner of stored things; the store has but one.
	namespace = "mayfly"
	// snapshotterName appears in the label of a configuration that keeps the image's snapshots from collection.
	snapshotterName = "overlayfs"
	// lockWait is how long opening waits for another process to leave the store.
	lockWait = 3 * time.Second
)

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("the image store is in use by another process")

// Config says where a store is and how it reaches registries.
type Config struct {
	// RootDir holds everything that the store keeps. It must be on a filesystem that overlayfs takes as lower layer.
	RootDir string
	// RegistryConfigDir holds a directory per registry with a hosts.toml as containerd's, for mirrors, plain HTTP
	// and certificates. It need not exist.
	RegistryConfigDir string
	// Handlers are the runtime handlers that a pull through the CRI may name. An image is the same for all of them.
	Handlers []string
	// LockWait is how long New waits for another process to leave the store; zero is three seconds.
	LockWait time.Duration
}

// Store holds images. It is safe for concurrent use.
type Store struct {
	runtimev1.UnimplementedImageServiceServer

	config   Config
	platform platforms.MatchComparer

	bolt        *bolt.DB
	db          *metadata.DB
	content     content.Store
	snapshotter snapshots.Snapshotter
	images      images.Store
	leases      leases.Manager
	transfer    transfer.Transferrer
	closers     []func() error

	flights flights
	index   index

	// stuck are leases of finished work that could not be deleted.
	stuckMu sync.Mutex
	stuck   []leases.Lease
	ballast *ballast

	collect chan struct{}
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// New opens the store in cfg.RootDir, creating it when there is none. It takes a few milliseconds. When another
// process has it, the error is ErrLocked.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.LockWait == 0 {
		cfg.LockWait = lockWait
	}
	s := &Store{config: cfg, platform: lenient{platforms.Default()}, collect: make(chan struct{}, 1)}
	s.index.reset()
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	ctx = within(ctx)
	if err := errors.Join(s.takeStaleLeases(ctx), s.load(ctx)); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { s.collectLoop(running) })
	return s, nil
}

// Close ends the work in the background and leaves the store to other processes.
func (s *Store) Close() error {
	s.stop()
	s.done.Wait()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *Store) open() (err error) {
	root := s.config.RootDir
	// The collector walks the directory of blobs, which containerd's store makes with its first one only.
	for _, dir := range []string{root, s.emptyDir(), filepath.Join(root, "content", "blobs", "sha256")} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("create image store: %w", err)
		}
	}
	if err := os.Chmod(s.emptyDir(), 0o755); err != nil {
		return fmt.Errorf("create empty layer: %w", err)
	}
	s.openBallast()
	if s.bolt, err = s.openDatabase(filepath.Join(root, "metadata.db")); err != nil {
		return err
	}
	s.closers = append(s.closers, s.bolt.Close)
	if err := discardTornIngests(filepath.Join(root, "content")); err != nil {
		return err
	}
	blobs, err := contentlocal.NewStore(filepath.Join(root, "content"))
	if err != nil {
		return fmt.Errorf("open content store: %w", err)
	}
	overlays, err := overlay.NewSnapshotter(filepath.Join(root, "snapshots"), overlay.WithUpperdirLabel)
	if err != nil {
		return fmt.Errorf("open snapshotter: %w", err)
	}
	s.closers = append(s.closers, overlays.Close)
	s.db = metadata.NewDB(s.bolt, blobs, map[string]snapshots.Snapshotter{snapshotterName: overlays})
	if err := s.db.Init(context.Background()); err != nil {
		return fmt.Errorf("open image database %s: %w", s.bolt.Path(), err)
	}
	s.assemble()
	return nil
}

// openDatabase refuses a damaged file in words that name it, since bbolt alone would say "invalid database".
func (s *Store) openDatabase(path string) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: s.config.LockWait, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: %w", path, ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("open image database %s: %w; if it is damaged, move %s away and import or pull the images again", path, err, s.config.RootDir)
	}
	return db, nil
}

func (s *Store) assemble() {
	s.content = s.db.ContentStore()
	s.snapshotter = s.db.Snapshotter(snapshotterName)
	s.images = metadata.NewImageStore(s.db)
	s.leases = metadata.NewLeaseManager(s.db)
	s.transfer = local.NewTransferService(s.content, s.images, local.TransferConfig{
		Leases:                 s.leases,
		MaxConcurrentDownloads: 6,
		MaxConcurrentUnpacks:   4,
		DuplicationSuppressor:  &keyLock{},
		UnpackPlatforms: []unpack.Platform{{
			Platform:       s.platform,
			SnapshotterKey: snapshotterName,
			Snapshotter:    s.snapshotter,
			// Layers are unpacked side by side, before each knows its parent.
			SnapshotterCapabilities: []string{snapshots.RebaseCap},
			Applier:                 apply.NewFileSystemApplier(s.content),
		}},
	})
}

// lenient is this machine's platform, and takes an image that names none, as Docker does.
type lenient struct{ platforms.MatchComparer }

// Match implements platforms.Matcher. Normalizing fills in the system of a platform, but not its architecture.
func (l lenient) Match(p ocispec.Platform) bool {
	return p.Architecture == "" && (p.OS == "" || p.OS == "linux") || l.MatchComparer.Match(p)
}

func (s *Store) emptyDir() string { return filepath.Join(s.config.RootDir, "empty") }

func within(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, namespace) }

func (s *Store) scheduleCollect() {
	select {
	case s.collect <- struct{}{}:
	default:
	}
}

func (s *Store) collectLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.collect:
			if err := s.Collect(ctx); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "unused image content stays", "err", err)
			}
		}
	}
}

// Collect removes all content that no image, pin or transfer refers to, and returns once it is gone.
func (s *Store) Collect(ctx context.Context) error {
	return s.ballast.without(func() error {
		if _, err := s.db.GarbageCollect(within(ctx)); err != nil {
			return fmt.Errorf("collect unused image content: %w", err)
		}
		return nil
	})
}

// Root is where the store is within the runtime's directory.
func Root(runtimeDir string) string { return filepath.Join(runtimeDir, "images") }

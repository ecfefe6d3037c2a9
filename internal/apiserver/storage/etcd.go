package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"
)

const (
	tickMilliseconds = 10
	// electionTicks go by before a member that hears of no leader elects itself: nobody else can be the leader here, so
	// each of them only delays the start. Two are the fewest that etcd takes.
	electionTicks   = 2
	walSegmentBytes = 8 << 20
	// snapshotCount is how many writes go by between snapshots. A start reads the WAL from the last one on, and until
	// the next what was written since stays in memory.
	snapshotCount = 1000
	// catchUpEntries are kept in memory for followers that fell behind: there are none. Zero would be etcd's default.
	catchUpEntries = 1
	// keptFiles are the log's segments, and the snapshots, that stay when newer ones have made them needless. A start
	// reads every segment there is.
	keptFiles = 2
	// quotaBytes bounds the database file; etcd refuses writes beyond it.
	quotaBytes = 8 << 30
	// maxRequestBytes, maxTxnOps and bcryptCost are etcd's defaults. They stand here since package embed, which has them,
	// brings etcd's listeners along, 2 MB that nobody calls.
	maxRequestBytes = 1536 << 10
	maxTxnOps       = 128
	bcryptCost      = 10
	// memberName, clusterToken and peerURL are what the member is known by. Nobody listens at the URL.
	memberName   = "mayfly"
	clusterToken = "mayfly"
	peerURL      = "http://127.0.0.1:2380"
	// startTimeout is generous: a large WAL is replayed before the server is ready.
	startTimeout = 2 * time.Minute
)

// Etcd is the etcd member inside this process.
type Etcd struct {
	dir    string
	lock   *os.File
	server *etcdserver.EtcdServer
	client *kubernetes.Client
	space  *space
	fatal  *fatal
	once   sync.Once
	idle   func() // ends what goes on in the background
}

// OpenEtcd starts a member that keeps its data in dir, which it makes when missing. Only one may run on a directory
// at a time. Data that etcd cannot read is an error that names the directory; nothing in it is changed then.
func OpenEtcd(ctx context.Context, dir string) (*Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create etcd directory: %w", err)
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	e := &Etcd{dir: dir, lock: lock, fatal: newFatal(dir)}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

func (e *Etcd) open(ctx context.Context) error {
	have, err := free(e.dir)
	if err != nil {
		return err
	}
	if have < deleteReserveBytes {
		return fmt.Errorf("no room on the disk of %s: %d MiB are free and etcd needs %d MiB to start; free space on that filesystem", e.dir, have>>20, int64(deleteReserveBytes)>>20)
	}
	if err := e.start(ctx); err != nil {
		return err
	}
	if e.space, err = newSpace(e.dir, func() int64 { return e.server.Backend().Size() }); err != nil {
		e.server.HardStop()
		return err
	}
	e.defragment(defragmentBytes)
	e.idle = background(func(ctx context.Context) { e.tend(ctx, defragmentInterval, defragmentBytes) })
	e.client = newClient(v3client.New(e.server))
	e.client.Kubernetes = guarded{e.client.Kubernetes, e.space}
	return nil
}

// background runs f until the function that it returns is called, which waits for f.
func background(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open etcd lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd directory %s is in use by another API server: stop that one or choose another data directory: %w", dir, err), f.Close())
	}
	return f, nil
}

// sizeSegments sets what etcd's library keeps in a variable of its own, before the first log is made.
var sizeSegments = sync.OnceFunc(func() { wal.SegmentSizeBytes = walSegmentBytes })

func (e *Etcd) start(ctx context.Context) (err error) {
	sizeSegments()
	cfg, err := e.config()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				started <- fmt.Errorf("read etcd data in %s: %v; restore the directory from a backup or move it away to start empty", e.dir, r)
			}
		}()
		server, err := etcdserver.NewServer(cfg)
		if err == nil {
			server.Start()
			e.server = server
		}
		started <- err
	}()
	select {
	case err := <-started:
		if err != nil {
			return e.explain(err)
		}
	case err := <-e.fatal.happened:
		return err
	}
	return e.await(ctx)
}

func (e *Etcd) explain(err error) error {
	select {
	case fatal := <-e.fatal.happened:
		return fatal
	default:
		return fmt.Errorf("open etcd in %s: %w", e.dir, err)
	}
}

func (e *Etcd) await(ctx context.Context) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	select {
	case <-e.server.ReadyNotify():
		return nil
	case err := <-e.fatal.happened:
		return err
	case <-e.server.StopNotify():
		return fmt.Errorf("etcd in %s stopped while starting", e.dir)
	case <-ctx.Done():
		e.server.HardStop()
		return ctx.Err()
	case <-deadline.C:
		e.server.HardStop()
		return fmt.Errorf("etcd in %s is not ready after %s", e.dir, startTimeout)
	}
}

// config takes etcd's own defaults and changes what one member without listeners wants otherwise.
func (e *Etcd) config() (config.ServerConfig, error) {
	peer, err := types.NewURLs([]string{peerURL})
	if err != nil {
		return config.ServerConfig{}, fmt.Errorf("etcd peer URL: %w", err)
	}
	log := newLogger(e.fatal)
	return config.ServerConfig{
		Name:                        memberName,
		DataDir:                     dataDir(e.dir),
		ClientURLs:                  types.URLs([]url.URL{{Scheme: "http", Host: "127.0.0.1:2379"}}),
		PeerURLs:                    peer,
		InitialPeerURLsMap:          types.URLsMap{memberName: peer},
		InitialClusterToken:         clusterToken,
		NewCluster:                  true,
		TickMs:                      tickMilliseconds,
		ElectionTicks:               electionTicks,
		InitialElectionTickAdvance:  true,
		SnapshotCount:               snapshotCount,
		SnapshotCatchUpEntries:      catchUpEntries,
		MaxSnapFiles:                keptFiles,
		MaxWALFiles:                 keptFiles,
		MaxTxnOps:                   maxTxnOps,
		MaxRequestBytes:             maxRequestBytes,
		MaxConcurrentStreams:        math.MaxUint32,
		QuotaBackendBytes:           quotaBytes,
		StrictReconfigCheck:         true,
		PreVote:                     true,
		AuthToken:                   "simple",
		BcryptCost:                  bcryptCost,
		TokenTTL:                    300,
		WatchProgressNotifyInterval: 5 * time.Second,
		WarningApplyDuration:        time.Second,
		WarningUnaryRequestDuration: time.Second,
		MaxLearners:                 1,
		V2Deprecation:               config.V2DeprDefault,
		ServerFeatureGate:           features.NewDefaultServerFeatureGate(memberName, log),
		Metrics:                     "basic",
		Logger:                      log,
	}, nil
}

// Failed delivers the error that ended etcd while it served, a full disk say.
func (e *Etcd) Failed() <-chan error { return e.fatal.happened }

// Ping asks for the store's health.
func (e *Etcd) Ping(ctx context.Context) error {
	if _, err := e.client.KV.Get(ctx, "health", clientv3.WithCountOnly()); err != nil {
		return fmt.Errorf("read from etcd: %w", err)
	}
	return nil
}

// Close stops etcd. What was acknowledged is on disk already.
func (e *Etcd) Close() error {
	e.idle()
	e.once.Do(func() {
		if !e.fatal.has() {
			e.server.HardStop()
		}
	})
	return errors.Join(e.space.close(), e.lock.Close())
}

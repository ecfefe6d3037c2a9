package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/containerd/v2/core/transfer"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// attempts is how often a pull is tried when the network or the registry fails for a moment. What was fetched stays.
const attempts = 3

// Progress is a step of a pull or an import.
type Progress struct {
	// ID is a digest, shortened as Docker does, or empty for the image as a whole.
	ID string
	// Status says what goes on: "waiting", "downloading", "extracting", "complete", …
	Status string
	// Current and Total are bytes; Total is zero when unknown.
	Current, Total int64
}

// Pull fetches the image that ref names for this machine's platform, unpacks it, and returns its ID. Callers that ask
// for the same at the same time share one transfer. progress may be nil; its calls do not overlap.
//
// The errors are errdefs': ErrInvalidArgument for an unusable reference or image, ErrNotFound when the registry does
// not have it, ErrUnauthenticated or ErrPermissionDenied when it refuses, ErrUnavailable when it cannot be reached.
// Their text carries the registry's reason.
func (s *Store) Pull(ctx context.Context, ref string, c Credentials, progress func(Progress)) (string, error) {
	named, err := parse(ref)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", named.String(), c))
	return s.flights.do(within(ctx), hex.EncodeToString(sum[:]), progress, func(ctx context.Context, f *flight) (string, error) {
		return s.pull(ctx, named, c, f.report)
	})
}

func (s *Store) pull(ctx context.Context, named reference.Named, c Credentials, report func(Progress)) (id string, err error) {
	ctx, release, err := s.protect(ctx, named.String())
	if err != nil {
		return "", err
	}
	defer func() { release(err) }()
	for attempt := 1; ; attempt++ {
		id, err = s.pullOnce(ctx, named, c, report)
		if err == nil || attempt == attempts || !passing(err) {
			break
		}
		report(Progress{Status: fmt.Sprintf("retrying after: %v", err)})
		if err := pause(ctx, time.Duration(attempt)*200*time.Millisecond); err != nil {
			return "", err
		}
	}
	return id, err
}

func (s *Store) pullOnce(ctx context.Context, named reference.Named, c Credentials, report func(Progress)) (string, error) {
	from, to := s.newSource(ctx, named.String(), c), &storer{store: s, one: true}
	if err := s.transferred(ctx, from, to, report); err != nil {
		return "", explainPull(named.String(), from.reason.String(), err)
	}
	if len(to.found) != 1 {
		return "", fmt.Errorf("pull image %q: the registry sent %d images", named, len(to.found))
	}
	id, err := s.record(ctx, to.found[0], storedNames(named, to.found[0].Digest)...)
	if err != nil {
		return "", fmt.Errorf("pull image %q: %w", named, err)
	}
	return id, nil
}

// Store implements transfer.ImageStorer.
func (t *storer) Store(_ context.Context, desc ocispec.Descriptor, _ images.Store) ([]images.Image, error) {
	t.found = append(t.found, desc)
	return nil, nil
}

// UnpackPlatforms implements transfer.ImageUnpacker.
func (t *storer) UnpackPlatforms() []transfer.UnpackConfiguration {
	return []transfer.UnpackConfiguration{{Platform: platforms.DefaultSpec(), Snapshotter: snapshotterName}}
}

// translate turns the transfer service's events into ours: its names end in a digest.
func translate(report func(Progress)) transfer.ProgressFunc {
	return func(p transfer.Progress) {
		id := ""
		if p.Desc != nil && images.IsLayerType(p.Desc.MediaType) {
			id = p.Desc.Digest.Encoded()[:12]
		}
		if id == "" && p.Desc != nil {
			return
		}
		report(Progress{ID: id, Status: p.Event, Current: p.Progress, Total: p.Total})
	}
}

// explainPull puts the registry's reason in front and the class behind, which decides what the caller does next.
func explainPull(ref, reason string, err error) error {
	if reason != "" && !strings.Contains(err.Error(), reason) {
		err = fmt.Errorf("%s: %w", reason, err)
	}
	if class := pullClass(err); class != nil && !errors.Is(err, class) {
		err = classified{err, class}
	}
	return fmt.Errorf("pull image %q: %w", ref, err)
}

func pullClass(err error) error {
	var status remoteserrors.ErrUnexpectedStatus
	if errors.As(err, &status) {
		switch code := status.StatusCode; {
		case code == http.StatusUnauthorized:
			return errdefs.ErrUnauthenticated
		case code == http.StatusForbidden:
			return errdefs.ErrPermissionDenied
		case code == http.StatusNotFound:
			return errdefs.ErrNotFound
		case code == http.StatusTooManyRequests:
			return errdefs.ErrResourceExhausted
		case code >= http.StatusInternalServerError:
			return errdefs.ErrUnavailable
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, docker.ErrInvalidAuthorization):
		return errdefs.ErrUnauthenticated
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errdefs.ErrResourceExhausted
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return errdefs.ErrUnavailable
	}
	return nil
}

// classified adds an errdefs class to an error without changing its words.
type classified struct{ err, class error }

func (c classified) Error() string   { return c.err.Error() }
func (c classified) Unwrap() []error { return []error{c.err, c.class} }

// passing tells an error that may be gone at the next attempt. A refused connection is not: whoever asks will ask
// again later, and wants to hear of it now.
func passing(err error) bool {
	return errdefs.IsUnavailable(err) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.As(err, new(*net.DNSError))
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

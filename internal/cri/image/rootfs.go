package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// upperdirLabel is where the overlay snapshotter tells the directory of a snapshot's own files.
const upperdirLabel = "containerd.io/snapshot/overlay.upperdir"

// Image is what a container needs of its image.
type Image struct {
	// ID is the digest of the image's configuration, "sha256:…".
	ID string
	// RepoTags and RepoDigests are the image's full names.
	RepoTags, RepoDigests []string
	// Config is the part of the image that a container inherits: command, environment, user, directory, signal.
	Config ocispec.ImageConfig
	// Lower are the image's layers in the order that overlayfs's lowerdir takes, the topmost first. There is at
	// least one: an image without layers has Empty.
	Lower []string
	// Empty is a directory that stays empty, to stand below or instead of layers.
	Empty string
}

// Get describes the image that ref, a name or an ID, stands for, without pinning it.
func (s *Store) Get(ctx context.Context, ref string) (Image, error) {
	s.index.mu.RLock()
	e, err := s.index.find(ref)
	s.index.mu.RUnlock()
	if err != nil {
		return Image{}, err
	}
	return s.image(within(ctx), e)
}

// Rootfs describes the image that ref stands for and keeps its content on disk until Release(containerID). It may be
// repeated for one container; the last image counts. A reference that is not there is errdefs.ErrNotFound.
func (s *Store) Rootfs(ctx context.Context, ref, containerID string) (Image, error) {
	s.index.mu.Lock()
	e, err := s.index.find(ref)
	if err != nil {
		s.index.mu.Unlock()
		return Image{}, err
	}
	previous := s.index.pinned[containerID]
	if previous != nil && previous != e {
		delete(previous.pins, containerID)
	}
	e.pins[containerID] = struct{}{}
	s.index.pinned[containerID] = e
	s.index.mu.Unlock()
	img, err := s.image(within(ctx), e)
	if err != nil {
		s.Release(containerID)
		return Image{}, err
	}
	if previous != nil && previous != e {
		s.forget(within(ctx), previous)
	}
	return img, nil
}

// Release takes back the pin of a container. An image that was removed meanwhile goes with its last pin.
func (s *Store) Release(containerID string) {
	s.index.mu.Lock()
	e := s.index.pinned[containerID]
	if e != nil {
		delete(s.index.pinned, containerID)
		delete(e.pins, containerID)
	}
	s.index.mu.Unlock()
	if e != nil {
		s.forget(within(context.Background()), e)
	}
}

// Settle says that every container of an earlier process has its pin again, so that images that were removed and are
// not in use may go.
func (s *Store) Settle(ctx context.Context) error {
	s.index.mu.Lock()
	s.index.settled = true
	var hidden []*entry
	for _, e := range s.index.byID {
		if e.hidden {
			hidden = append(hidden, e)
		}
	}
	s.index.mu.Unlock()
	var errs []error
	for _, e := range hidden {
		errs = append(errs, s.erase(within(ctx), e))
	}
	return errors.Join(errs...)
}

func (s *Store) image(ctx context.Context, e *entry) (Image, error) {
	lower, err := s.lower(ctx, e)
	if err != nil {
		return Image{}, err
	}
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	img := Image{ID: e.id, Config: e.spec.Config, Lower: lower, Empty: s.emptyDir()}
	img.RepoTags, img.RepoDigests = split(e.sortedNames())
	return img, nil
}

// lower asks the snapshotter once per image.
func (s *Store) lower(ctx context.Context, e *entry) ([]string, error) {
	s.index.mu.RLock()
	known := e.lower
	s.index.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	var dirs []string
	for key := e.chainID; key != ""; {
		info, err := s.snapshotter.Stat(ctx, key)
		if errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("image %s is not unpacked (layer %s): pull or import it again: %w", e.id, key, errdefs.ErrNotFound)
		}
		if err != nil {
			return nil, fmt.Errorf("find layer %s: %w", key, err)
		}
		dirs = append(dirs, info.Labels[upperdirLabel])
		key = info.Parent
	}
	if len(dirs) == 0 {
		dirs = []string{s.emptyDir()}
	}
	s.index.mu.Lock()
	e.lower = dirs
	s.index.mu.Unlock()
	return dirs, nil
}

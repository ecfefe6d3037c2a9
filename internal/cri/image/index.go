package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata/boltutil"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

// removedLabel marks the last record of an image that was removed while containers may use it.
const removedLabel = "mayfly.run/removed"

// entry is what the index knows of one image. All fields but names, hidden, lower and pins stay as they were made.
type entry struct {
	id      string
	target  ocispec.Descriptor
	spec    ocispec.Image
	chainID string
	size    int64

	names map[string]struct{}
	// hidden says that the image was removed and is kept for the containers in pins alone.
	hidden bool
	// lower is nil until a container first needs it.
	lower []string
	pins  map[string]struct{}
}

// sortedNames needs the index's lock.
func (e *entry) sortedNames() []string {
	names := make([]string, 0, len(e.names))
	for name := range e.names {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// index finds images without the database, which stays authoritative: every change is written there first.
type index struct {
	mu     sync.RWMutex
	byName map[string]*entry
	byID   map[string]*entry
	// pinned maps a container to its image.
	pinned map[string]*entry
	// settled says that every container of an earlier process has pinned its image again.
	settled bool
}

func (x *index) reset() {
	x.byName, x.byID, x.pinned = map[string]*entry{}, map[string]*entry{}, map[string]*entry{}
}

// put records that name stands for the image of fresh.
func (x *index) put(name string, fresh *entry, hidden bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.byID[fresh.id]
	if !ok {
		e = fresh
		e.names, e.pins = map[string]struct{}{}, map[string]struct{}{}
		x.byID[e.id] = e
	}
	if name == e.id {
		e.hidden = hidden
	}
	if old := x.byName[name]; old != nil && old != e {
		delete(old.names, name)
	}
	e.names[name] = struct{}{}
	x.byName[name] = e
}

// drop needs the lock. It forgets the image but not its pins.
func (x *index) drop(e *entry) {
	for name := range e.names {
		delete(x.byName, name)
	}
	delete(x.byID, e.id)
}

// find needs the lock. It takes an image ID, whole or abbreviated, or any reference.
func (x *index) find(ref string) (*entry, error) {
	if e := x.byID[ref]; e != nil {
		return e, nil
	}
	if e := x.byID["sha256:"+ref]; e != nil {
		return e, nil
	}
	if name, err := Normalize(ref); err == nil {
		if e := x.byName[name]; e != nil {
			return e, nil
		}
	} else if !shortID.MatchString(ref) {
		return nil, err
	}
	if shortID.MatchString(ref) {
		return x.findShort("sha256:" + strings.TrimPrefix(ref, "sha256:"))
	}
	return nil, fmt.Errorf("image %q: %w", ref, errdefs.ErrNotFound)
}

func (x *index) findShort(prefix string) (*entry, error) {
	var found *entry
	for id, e := range x.byID {
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("image ID %q is the start of several: %w", prefix, errdefs.ErrInvalidArgument)
		}
		found = e
	}
	if found == nil {
		return nil, fmt.Errorf("image %q: %w", prefix, errdefs.ErrNotFound)
	}
	return found, nil
}

// load fills the index from the database.
func (s *Store) load(ctx context.Context) error {
	all, err := s.images.List(ctx)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	damaged := false
	known := map[string]*entry{}
	for _, img := range all {
		key := img.Target.Digest.String()
		if known[key] == nil {
			if known[key], err = s.describe(ctx, img.Target); err != nil {
				slog.WarnContext(ctx, "leave out damaged image; pull or import it again", "image", img.Name, "err", err)
				damaged = true
				continue
			}
		}
		s.index.put(img.Name, known[key], img.Labels[removedLabel] != "")
	}
	if damaged {
		return s.forgetLostBlobs(ctx)
	}
	return nil
}

// forgetLostBlobs brings the database in line with the disk, so that a pull or an import fetches again what is gone.
// Names and unpacked layers, which containers may use, stay.
func (s *Store) forgetLostBlobs(ctx context.Context) error {
	var lost []digest.Digest
	err := s.content.Walk(ctx, func(info content.Info) error {
		blob, err := s.content.ReaderAt(ctx, ocispec.Descriptor{Digest: info.Digest})
		if errdefs.IsNotFound(err) {
			lost = append(lost, info.Digest)
			return nil
		}
		if err != nil {
			return err
		}
		return blob.Close()
	})
	if err != nil {
		return fmt.Errorf("look for lost content: %w", err)
	}
	for _, d := range lost {
		if err := s.content.Delete(ctx, d); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("forget lost content %s: %w", d, err)
		}
	}
	return nil
}

// describe reads what the index needs of the image that target points to.
func (s *Store) describe(ctx context.Context, target ocispec.Descriptor) (*entry, error) {
	desc, err := images.Config(ctx, s.content, target, s.platform)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", target.Digest, err)
	}
	if err := checkDescriptor(desc); err != nil {
		return nil, err
	}
	data, err := content.ReadBlob(ctx, s.content, desc)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	e := &entry{id: desc.Digest.String(), target: target}
	if err := json.Unmarshal(data, &e.spec); err != nil {
		return nil, fmt.Errorf("decode configuration %s: %w", desc.Digest, err)
	}
	if ids := e.spec.RootFS.DiffIDs; len(ids) > 0 {
		e.chainID = identity.ChainID(slices.Clone(ids)).String()
		if _, err := s.snapshotter.Stat(ctx, e.chainID); err != nil {
			return nil, fmt.Errorf("find unpacked layers: %w", err)
		}
	}
	record := images.Image{Target: target}
	if e.size, err = record.Size(ctx, s.content, s.platform); err != nil {
		return nil, fmt.Errorf("add up layers: %w", err)
	}
	return e, nil
}

// record names the image of target, in the database and the index, and returns its ID. It is one transaction.
func (s *Store) record(ctx context.Context, target ocispec.Descriptor, names ...string) (string, error) {
	e, err := s.describe(ctx, target)
	if err != nil {
		return "", err
	}
	target.Annotations = nil
	names = append(slices.Clone(names), e.id)
	err = s.db.Update(func(tx *bolt.Tx) error {
		ctx := boltutil.WithTransaction(ctx, tx)
		var errs []error
		for _, name := range names {
			errs = append(errs, s.write(ctx, images.Image{Name: name, Target: target}))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return "", err
	}
	for _, name := range names {
		s.index.put(name, e, false)
	}
	return e.id, nil
}

func (s *Store) write(ctx context.Context, img images.Image) error {
	_, err := s.images.Create(ctx, img)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.images.Update(ctx, img)
	}
	if err != nil {
		return fmt.Errorf("record image %q: %w", img.Name, err)
	}
	return nil
}

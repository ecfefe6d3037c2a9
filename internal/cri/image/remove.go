package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata/boltutil"
	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"
)

// Remove takes away the image that ref stands for, with all its names, as the CRI asks. Its content goes at once, or
// when the last container that uses it is released. An unknown reference is errdefs.ErrNotFound.
func (s *Store) Remove(ctx context.Context, ref string) (Removed, error) {
	s.index.mu.RLock()
	e, err := s.index.find(ref)
	if err == nil && e.hidden {
		err = fmt.Errorf("image %q: %w", ref, errdefs.ErrNotFound)
	}
	if err != nil {
		s.index.mu.RUnlock()
		return Removed{}, err
	}
	removed := Removed{ID: e.id, Names: e.sortedNames()}
	s.index.mu.RUnlock()
	return removed, s.hide(within(ctx), e)
}

// Untag takes one name away, and the image with it when that was the last; Docker's rule, where Remove has the CRI's.
// With the last tag of a repository goes the repository's digest. An image ID takes the image away with all names.
func (s *Store) Untag(ctx context.Context, ref string) (Removed, error) {
	name, err := Normalize(ref)
	if err != nil {
		return s.Remove(ctx, ref)
	}
	s.index.mu.RLock()
	e := s.index.byName[name]
	var names []string
	all := e == nil
	if e != nil {
		names, all = e.goingWith(name)
	}
	s.index.mu.RUnlock()
	if all {
		return s.Remove(ctx, ref)
	}
	for _, name := range names {
		if err := s.images.Delete(within(ctx), name); err != nil && !errdefs.IsNotFound(err) {
			return Removed{}, fmt.Errorf("remove name %s: %w", name, err)
		}
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	for _, name := range names {
		delete(e.names, name)
		if s.index.byName[name] == e {
			delete(s.index.byName, name)
		}
	}
	return Removed{Names: names}, nil
}

// goingWith returns the names that go when name does, sorted, and whether these are all. It needs the index's lock.
func (e *entry) goingWith(name string) (going []string, all bool) {
	names, tags := e.sortedNames(), map[string]int{}
	for _, n := range names {
		if !strings.Contains(n, "@") && !isID(n) {
			tags[repository(n)]++
		}
	}
	last := !strings.Contains(name, "@") && tags[repository(name)] == 1
	all = true
	for _, n := range names {
		switch {
		case n == name, last && repository(n) == repository(name):
			going = append(going, n)
		case !isID(n):
			all = false
		}
	}
	return going, all
}

// repository is a stored name without its tag or digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	return name
}

// Removed tells what a removal took away.
type Removed struct {
	// ID is the image's, when it is gone as a whole.
	ID string
	// Names are the references that no longer stand for it.
	Names []string
}

// hide takes the image's names in one transaction and leaves a marked record, which erase takes when no container
// needs the content.
func (s *Store) hide(ctx context.Context, e *entry) error {
	s.index.mu.RLock()
	names := e.sortedNames()
	s.index.mu.RUnlock()
	err := s.update(func(tx *bolt.Tx) error {
		ctx := boltutil.WithTransaction(ctx, tx)
		marked := images.Image{Name: e.id, Target: e.target, Labels: map[string]string{removedLabel: "true"}}
		errs := []error{s.write(ctx, marked)}
		for _, name := range names {
			if name == e.id {
				continue
			}
			if err := s.images.Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
				errs = append(errs, fmt.Errorf("remove name %s: %w", name, err))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	s.index.mu.Lock()
	for _, name := range names {
		if name != e.id {
			delete(e.names, name)
			delete(s.index.byName, name)
		}
	}
	e.names[e.id], e.hidden = struct{}{}, true
	s.index.mu.Unlock()
	return s.erase(ctx, e)
}

// update changes the database even when the disk is full.
func (s *Store) update(change func(tx *bolt.Tx) error) error {
	return s.ballast.without(func() error { return s.db.Update(change) })
}

// erase gives up a hidden image that no container uses.
func (s *Store) erase(ctx context.Context, e *entry) error {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	if !e.hidden || len(e.pins) > 0 || !s.index.settled || s.index.byID[e.id] != e {
		return nil
	}
	gone, err := s.deleteMarked(ctx, e.id)
	if err != nil || !gone {
		return err
	}
	s.index.drop(e)
	s.scheduleCollect()
	return nil
}

// deleteMarked deletes an image's last record unless a pull has taken the mark of removal from it meanwhile.
func (s *Store) deleteMarked(ctx context.Context, id string) (gone bool, _ error) {
	err := s.update(func(tx *bolt.Tx) error {
		ctx := boltutil.WithTransaction(ctx, tx)
		img, err := s.images.Get(ctx, id)
		if errdefs.IsNotFound(err) {
			gone = true
			return nil
		}
		if err != nil || img.Labels[removedLabel] == "" {
			return err
		}
		gone = true
		return s.images.Delete(ctx, id)
	})
	if err != nil {
		return false, fmt.Errorf("remove image %s: %w", id, err)
	}
	return gone, nil
}

func (s *Store) forget(ctx context.Context, e *entry) {
	if err := s.erase(ctx, e); err != nil {
		slog.WarnContext(ctx, "give up unused image", "image", e.id, "err", err)
	}
}

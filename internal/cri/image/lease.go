package image

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
)

const (
	// leaseLabel marks the leases of work under way. One that is found on opening belongs to a process that died.
	leaseLabel = "mayfly.run/transfer"
	// pullLabel names the image of a pull under way.
	pullLabel = "mayfly.run/pull"
	// interruptedLabel marks what an interrupted pull has fetched, with the image.
	interruptedLabel = "mayfly.run/interrupted"
	// interruptedLife is how long that is kept for the next pull to go on from.
	interruptedLife = time.Hour
)

// protect keeps everything that is written with the returned context from collection until release is called. An image
// that is pulled is named; what release is told of decides whether what was fetched stays for the next pull.
func (s *Store) protect(ctx context.Context, pulled string) (_ context.Context, release func(error), _ error) {
	s.retryLeases(ctx)
	lease, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithLabels(map[string]string{leaseLabel: "true", pullLabel: pulled}))
	if err != nil {
		return nil, nil, fmt.Errorf("create lease: %w", err)
	}
	release = func(outcome error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		var err error
		switch {
		case outcome == nil:
			err = s.forgetInterrupted(ctx, pulled)
		case errdefs.IsUnavailable(outcome):
			err = s.keepInterrupted(ctx, lease)
		}
		if err != nil {
			slog.WarnContext(ctx, "what a pull has fetched is not kept, or not given up", "image", pulled, "err", err)
		}
		if err := s.ballast.without(func() error { return s.leases.Delete(ctx, lease) }); err != nil {
			slog.WarnContext(ctx, "delete image lease", "lease", lease.ID, "err", err)
			s.stuckMu.Lock()
			s.stuck = append(s.stuck, lease)
			s.stuckMu.Unlock()
		}
		if outcome != nil {
			s.scheduleCollect()
		}
	}
	return leases.WithLease(ctx, lease.ID), release, nil
}

// keepInterrupted has another lease keep for a while what a pull has fetched.
func (s *Store) keepInterrupted(ctx context.Context, of leases.Lease) error {
	parts, err := s.leases.ListResources(ctx, of)
	if err != nil || len(parts) == 0 || of.Labels[pullLabel] == "" {
		return err
	}
	kept, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithExpiration(interruptedLife), leases.WithLabel(interruptedLabel, of.Labels[pullLabel]))
	if err != nil {
		return fmt.Errorf("create lease: %w", err)
	}
	for _, part := range parts {
		if err := s.leases.AddResource(ctx, kept, part); err != nil {
			return fmt.Errorf("keep %s %s: %w", part.Type, part.ID, err)
		}
	}
	return nil
}

// forgetInterrupted gives up what earlier pulls of an image have fetched, which it refers to now by itself.
func (s *Store) forgetInterrupted(ctx context.Context, image string) error {
	if image == "" {
		return nil
	}
	list, err := s.leases.List(ctx)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, lease := range list {
		if lease.Labels[interruptedLabel] != image {
			continue
		}
		if err := s.leases.Delete(ctx, lease); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("delete lease: %w", err)
		}
	}
	return nil
}

// retryLeases deletes the leases that a full disk kept, so that what they hold does not stay until the next start.
func (s *Store) retryLeases(ctx context.Context) {
	s.stuckMu.Lock()
	defer s.stuckMu.Unlock()
	s.stuck = slices.DeleteFunc(s.stuck, func(lease leases.Lease) bool {
		err := s.leases.Delete(ctx, lease)
		return err == nil || errdefs.IsNotFound(err)
	})
}

// takeStaleLeases takes over from a process that died: its pulls were interrupted.
func (s *Store) takeStaleLeases(ctx context.Context) error {
	list, err := s.leases.List(ctx)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, lease := range list {
		if lease.Labels[leaseLabel] == "" {
			continue
		}
		if err := s.keepInterrupted(ctx, lease); err != nil {
			return fmt.Errorf("take over an interrupted pull: %w", err)
		}
		if err := s.leases.Delete(ctx, lease); err != nil {
			return fmt.Errorf("delete stale lease: %w", err)
		}
		s.scheduleCollect()
	}
	return nil
}

package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Export writes the images that refs stand for to w, as a tar file that is an OCI image layout and a docker-archive
// at once. An image that was asked for by name has that name in it; by ID, all its tags. Of an image for several
// platforms it has this machine's.
func (s *Store) Export(ctx context.Context, w io.Writer, refs ...string) error {
	ctx, release, err := s.protect(within(ctx), "")
	if err != nil {
		return err
	}
	defer release(nil)
	var options []archive.ExportOpt
	for _, ref := range refs {
		target, names, err := s.exported(ctx, ref)
		if err != nil {
			return fmt.Errorf("export image: %w", err)
		}
		options = append(options, archive.WithManifest(target, names...))
	}
	options = append(options, archive.WithPlatform(s.platform))
	if err := archive.Export(ctx, s.content, w, options...); err != nil {
		return fmt.Errorf("export image: %w", err)
	}
	return nil
}

func (s *Store) exported(ctx context.Context, ref string) (ocispec.Descriptor, []string, error) {
	s.index.mu.RLock()
	e, err := s.index.find(ref)
	if err == nil && e.hidden {
		err = fmt.Errorf("image %q: %w", ref, errdefs.ErrNotFound)
	}
	if err != nil {
		s.index.mu.RUnlock()
		return ocispec.Descriptor{}, nil, err
	}
	tags, _ := split(e.sortedNames())
	if name, err := Normalize(ref); err == nil && s.index.byName[name] == e {
		tags = []string{name}
	}
	s.index.mu.RUnlock()
	target, err := s.ownManifest(ctx, e.target)
	return target, tags, err
}

// ownManifest follows indexes down to the manifest for this machine.
func (s *Store) ownManifest(ctx context.Context, desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	for range 8 {
		if !images.IsIndexType(desc.MediaType) {
			return desc, nil
		}
		data, err := content.ReadBlob(ctx, s.content, desc)
		if err != nil {
			return desc, fmt.Errorf("read index: %w", err)
		}
		var index ocispec.Index
		if err := json.Unmarshal(data, &index); err != nil {
			return desc, fmt.Errorf("decode index %s: %w", desc.Digest, err)
		}
		best, ok := s.best(ctx, index.Manifests)
		if !ok {
			return desc, fmt.Errorf("index %s holds nothing for this machine: %w", desc.Digest, errdefs.ErrNotFound)
		}
		desc = best
	}
	return desc, fmt.Errorf("indexes are nested too deeply: %w", errdefs.ErrInvalidArgument)
}

// best is the manifest that suits this machine best of those whose content is here.
func (s *Store) best(ctx context.Context, manifests []ocispec.Descriptor) (best ocispec.Descriptor, found bool) {
	for _, m := range manifests {
		if m.Platform != nil && !s.platform.Match(*m.Platform) {
			continue
		}
		if _, err := s.content.Info(ctx, m.Digest); err != nil {
			continue
		}
		if !found || m.Platform != nil && best.Platform != nil && s.platform.Less(*m.Platform, *best.Platform) {
			best, found = m, true
		}
	}
	return best, found
}

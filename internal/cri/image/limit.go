package image

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits against hostile images. Real ones stay far below: Docker itself stops at 127 layers, registries at manifests
// of 4 MiB.
const (
	maxMetadataSize = 4 << 20
	maxLayers       = 256
	maxManifests    = 1024
)

// checkDescriptor refuses what would be read into memory and is too big for that, before it is fetched.
func checkDescriptor(desc ocispec.Descriptor) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("the image names content by the invalid digest %.80q: %w", desc.Digest, errdefs.ErrInvalidArgument)
	}
	if desc.Size < 0 {
		return fmt.Errorf("content %s has the negative size %d: %w", desc.Digest, desc.Size, errdefs.ErrInvalidArgument)
	}
	if !images.IsLayerType(desc.MediaType) && desc.Size > maxMetadataSize && isMetadata(desc.MediaType) {
		return fmt.Errorf("%s %s has %d bytes, more than the %d that are allowed: %w", desc.MediaType, desc.Digest, desc.Size, maxMetadataSize, errdefs.ErrInvalidArgument)
	}
	return nil
}

func isMetadata(mediaType string) bool {
	return images.IsManifestType(mediaType) || images.IsIndexType(mediaType) || images.IsConfigType(mediaType) || mediaType == ""
}

// limited wraps the handler that lists what a manifest or index consists of.
func limited(next images.HandlerFunc) images.HandlerFunc {
	return func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if err := checkDescriptor(desc); err != nil {
			return nil, err
		}
		children, err := next(ctx, desc)
		if err != nil {
			return nil, err
		}
		limit := maxLayers + 1
		if images.IsIndexType(desc.MediaType) {
			limit = maxManifests
		}
		if len(children) > limit {
			return nil, fmt.Errorf("%s %s lists %d parts, more than the %d that are allowed: %w", desc.MediaType, desc.Digest, len(children), limit, errdefs.ErrInvalidArgument)
		}
		for _, child := range children {
			if err := checkDescriptor(child); err != nil {
				return nil, err
			}
		}
		return children, nil
	}
}

// storer receives the images of a transfer. It fetches this machine's platform alone, and leaves naming to its owner,
// who does it in one transaction.
type storer struct {
	store *Store
	// one says that the transfer is of a single image, so that of an index one manifest is enough.
	one   bool
	found []ocispec.Descriptor
}

// ImageFilter implements transfer.ImageFilterer: it marks what each part refers to, so that nothing of an image is
// collected while its name is there.
func (t *storer) ImageFilter(h images.HandlerFunc, cs content.Store) images.HandlerFunc {
	h = images.SetChildrenMappedLabels(cs, limited(h), nil)
	h = images.FilterPlatforms(h, t.store.platform)
	if !t.one {
		return h
	}
	return images.LimitManifests(h, t.store.platform, 1)
}

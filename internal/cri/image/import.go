package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Imported is an image that an archive held.
type Imported struct {
	// ID is the image's.
	ID string
	// Names are the references under which it was stored; none when the archive had no name for it.
	Names []string
}

// ImportOptions say how to take an archive.
type ImportOptions struct {
	// Tag names the image instead of what the archive says. The archive must hold a single image then.
	Tag string
	// Progress may be nil; its calls do not overlap.
	Progress func(Progress)
}

// Import reads a docker-archive or an OCI image layout as tar, plain or compressed by gzip or zstd, and stores all
// images in it that are for this machine's platform. An archive that is damaged or incomplete is
// errdefs.ErrInvalidArgument, with what is wrong with it, and leaves nothing behind.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) ([]Imported, error) {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Tag != "" {
		name, err := Normalize(o.Tag)
		if err != nil {
			return nil, err
		}
		o.Tag = name
	}
	ctx, release, err := s.protect(within(ctx), "")
	if err != nil {
		return nil, err
	}
	imported, err := s.importArchive(ctx, r, o)
	release(err)
	if err != nil {
		return nil, fmt.Errorf("import image: %w", err)
	}
	return imported, nil
}

func (s *Store) importArchive(ctx context.Context, r io.Reader, o ImportOptions) ([]Imported, error) {
	to := &storer{store: s}
	if err := s.transferred(ctx, &archiveSource{store: s, stream: r}, to, o.Progress); err != nil {
		return nil, explainImport(err)
	}
	named, err := s.named(ctx, to.found, o.Tag)
	if err != nil {
		return nil, err
	}
	var result []Imported
	for _, n := range named {
		id, err := s.record(ctx, n.target, n.names...)
		if err != nil {
			return result, err
		}
		result = append(result, Imported{ID: id, Names: n.names})
	}
	return result, nil
}

// namedTarget is an image of an archive with the names that it is to have.
type namedTarget struct {
	target ocispec.Descriptor
	names  []string
}

// named sorts the archive's descriptors by image. The first that the transfer found is the archive's own index.
func (s *Store) named(ctx context.Context, found []ocispec.Descriptor, tag string) ([]namedTarget, error) {
	var list []namedTarget
	var skipped []string
	for _, desc := range found[min(1, len(found)):] {
		if ok, platform := s.suits(ctx, desc); !ok {
			skipped = append(skipped, platform)
			continue
		}
		i := slices.IndexFunc(list, func(n namedTarget) bool { return n.target.Digest == desc.Digest })
		if i < 0 {
			list, i = append(list, namedTarget{target: desc}), len(list)
		}
		name, err := archiveName(desc)
		if err != nil {
			return nil, err
		}
		if name != "" && tag == "" {
			list[i].names = append(list[i].names, name)
		}
	}
	if len(list) == 0 {
		return nil, wrongPlatform(skipped)
	}
	if tag != "" {
		if len(list) > 1 {
			return nil, fmt.Errorf("the archive holds %d images, so one tag does not fit: %w", len(list), errdefs.ErrInvalidArgument)
		}
		list[0].names = []string{tag}
	}
	return list, nil
}

func wrongPlatform(found []string) error {
	if len(found) == 0 {
		return fmt.Errorf("the archive holds no image: %w", errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("the archive holds images for %s, but this machine is %s: %w",
		strings.Join(slices.Compact(found), ", "), platforms.Format(platforms.DefaultSpec()), errdefs.ErrInvalidArgument)
}

// suits tells whether an image runs here; where the archive does not say, its manifest decides.
func (s *Store) suits(ctx context.Context, desc ocispec.Descriptor) (bool, string) {
	if desc.Platform != nil && !s.platform.Match(*desc.Platform) {
		return false, platforms.Format(*desc.Platform)
	}
	if _, err := images.Manifest(ctx, s.content, desc, s.platform); err != nil {
		return false, "another platform"
	}
	return true, ""
}

// archiveName is the full name that an archive gives an image: containerd's annotation, or the OCI one where it is a
// whole reference, as podman and skopeo write it. A bare tag is no name.
func archiveName(desc ocispec.Descriptor) (string, error) {
	name := desc.Annotations[images.AnnotationImageName]
	if ref := desc.Annotations[ocispec.AnnotationRefName]; name == "" && strings.ContainsAny(ref, "/:") {
		name = ref
	}
	if name == "" {
		return "", nil
	}
	normal, err := Normalize(name)
	if err != nil {
		return "", fmt.Errorf("the archive's name for an image: %w", err)
	}
	return normal, nil
}

// archiveSource implements transfer.ImageImporter.
type archiveSource struct {
	store  *Store
	stream io.Reader
}

// Import stores the archive's blobs, and looks whether all that its images need came along.
func (a *archiveSource) Import(ctx context.Context, store content.Store) (ocispec.Descriptor, error) {
	plain, err := compression.DecompressStream(a.stream)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("decompress archive: %w", err)
	}
	defer plain.Close()
	index, err := archive.ImportIndex(ctx, store, plain)
	if err != nil {
		return index, unreadable(err)
	}
	return index, a.verify(ctx, store, index)
}

// verify walks from the archive's index to every layer.
func (a *archiveSource) verify(ctx context.Context, store content.Store, index ocispec.Descriptor) error {
	children := limited(images.ChildrenHandler(store))
	var walk func(desc ocispec.Descriptor, depth int) error
	walk = func(desc ocispec.Descriptor, depth int) error {
		if depth > 8 {
			return damaged("its indexes are nested too deeply")
		}
		if desc.Platform != nil && !a.store.platform.Match(*desc.Platform) {
			return nil
		}
		info, err := store.Info(ctx, desc.Digest)
		if errdefs.IsNotFound(err) {
			return damaged("%s %s is missing or its bytes do not match its digest", kind(desc.MediaType), desc.Digest)
		}
		if err != nil {
			return err
		}
		if desc.Size != info.Size {
			return damaged("%s %s has %d bytes, not the %d that its parent says", kind(desc.MediaType), desc.Digest, info.Size, desc.Size)
		}
		parts, err := children(ctx, desc)
		if err != nil {
			return damaged("%s %s is unreadable: %v", kind(desc.MediaType), desc.Digest, err)
		}
		for _, part := range parts {
			if err := walk(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(index, 0)
}

func kind(mediaType string) string {
	switch {
	case images.IsIndexType(mediaType):
		return "index"
	case images.IsManifestType(mediaType):
		return "manifest"
	case images.IsConfigType(mediaType):
		return "configuration"
	case images.IsLayerType(mediaType):
		return "layer"
	}
	return "blob"
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("the archive is damaged: "+format+": %w", append(args, errdefs.ErrInvalidArgument)...)
}

// unreadable says in a user's words why an archive could not be taken apart.
func unreadable(err error) error {
	switch text := err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "unexpected EOF"):
		return fmt.Errorf("the archive ends too early (%v): copy it again: %w", err, errdefs.ErrInvalidArgument)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("the archive is no tar file, or damaged (%v): %w", err, errdefs.ErrInvalidArgument)
	case strings.Contains(text, "unrecognized image format"):
		return fmt.Errorf("the archive holds no image: neither manifest.json of docker-archive nor oci-layout is in it: %w", errdefs.ErrInvalidArgument)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("the archive is damaged: %v: %w", err, errdefs.ErrInvalidArgument)
}

func explainImport(err error) error {
	switch {
	case errors.Is(err, images.ErrEmptyWalk):
		return wrongPlatform([]string{"another platform"})
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return classified{fmt.Errorf("%w; free space below the data directory, for example with `mayfly image remove`", err), errdefs.ErrResourceExhausted}
	case errdefs.IsInvalidArgument(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return classified{fmt.Errorf("unpack: %w", err), errdefs.ErrInvalidArgument}
}

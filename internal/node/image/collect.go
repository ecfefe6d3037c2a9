package image

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distribution/reference"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// minAge is how long an image stays at least after it was first seen: the Pod that it was pulled for may be on its way.
const minAge = 2 * time.Minute

// Collector removes images that nobody uses when their disk is short of space, the longest unused first, as the
// kubelet does it. Images that the runtime calls pinned stay. It is not safe for concurrent use.
type Collector struct {
	Images runtimev1.ImageServiceClient
	// High is the use of the disk, in percent, from which on images are removed, never if 100; Low is what it is brought
	// down to.
	High, Low int
	// Used tells the images that are in use now, by ID or by name as in a Pod.
	Used func(ctx context.Context) ([]string, error)
	// Disk tells the size of the file system at path, and what is free of it, in bytes.
	Disk func(path string) (size, free int64, err error)

	seen map[string]*sighting // by image ID
}

// sighting is what is remembered of an image.
type sighting struct{ first, used time.Time }

// Collect looks once. The error says also when less could be removed than should have been.
func (c *Collector) Collect(ctx context.Context) error {
	list, err := c.look(ctx, time.Now())
	if err != nil {
		return err
	}
	if c.High >= 100 {
		return nil
	}
	excess, err := c.excess(ctx)
	if err != nil || excess <= 0 {
		return err
	}
	freed := int64(0)
	for _, img := range list {
		if freed >= excess {
			return nil
		}
		if _, err := c.Images.RemoveImage(ctx, &runtimev1.RemoveImageRequest{Image: &runtimev1.ImageSpec{Image: img.GetId()}}); err != nil {
			return fmt.Errorf("remove unused image %s: %w", img.GetId(), err)
		}
		delete(c.seen, img.GetId())
		freed += int64(img.GetSize())
	}
	if freed < excess {
		return fmt.Errorf("the disk of the images is too full: attempted to free %d bytes, but only found %d bytes of unused images", excess, freed)
	}
	return nil
}

// look brings what is remembered up to date, and returns the images that may go, the longest unused first.
func (c *Collector) look(ctx context.Context, now time.Time) ([]*runtimev1.Image, error) {
	list, err := c.Images.ListImages(ctx, &runtimev1.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	names, err := c.Used(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, name := range names {
		used[name], used[full(name)] = true, true
	}
	before, found := c.seen, time.Time{} // what is there at the start is as old as can be
	if before != nil {
		found = now
	}
	c.seen = map[string]*sighting{}
	var idle []*runtimev1.Image
	for _, img := range list.GetImages() {
		s := before[img.GetId()]
		if s == nil {
			s = &sighting{first: found}
		}
		c.seen[img.GetId()] = s
		inUse := func(name string) bool { return used[name] }
		switch {
		case used[img.GetId()] || slices.ContainsFunc(img.GetRepoTags(), inUse) || slices.ContainsFunc(img.GetRepoDigests(), inUse):
			s.used = now
		case !img.GetPinned() && now.Sub(s.first) >= minAge:
			idle = append(idle, img)
		}
	}
	slices.SortStableFunc(idle, func(a, b *runtimev1.Image) int {
		x, y := c.seen[a.GetId()], c.seen[b.GetId()]
		return cmp.Or(x.used.Compare(y.used), x.first.Compare(y.first))
	})
	return idle, nil
}

// full is an image's name as runtimes list it.
func full(name string) string {
	if named, err := reference.ParseDockerRef(name); err == nil {
		return named.String()
	}
	return name
}

// excess is by how many bytes the images' disk is too full.
func (c *Collector) excess(ctx context.Context) (int64, error) {
	info, err := c.Images.ImageFsInfo(ctx, &runtimev1.ImageFsInfoRequest{})
	if err != nil {
		return 0, fmt.Errorf("ask where images are: %w", err)
	}
	for _, fs := range info.GetImageFilesystems() {
		size, free, err := c.Disk(fs.GetFsId().GetMountpoint())
		if err != nil {
			return 0, err
		}
		if size > 0 && 100-free*100/size >= int64(c.High) {
			return size*int64(100-c.Low)/100 - free, nil
		}
	}
	return 0, nil
}

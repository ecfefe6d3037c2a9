package image

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// shelf is an image service that only lists and removes.
type shelf struct {
	runtimev1.ImageServiceClient
	images  []*runtimev1.Image
	removed []string
}

func (s *shelf) ListImages(context.Context, *runtimev1.ListImagesRequest, ...grpc.CallOption) (*runtimev1.ListImagesResponse, error) {
	return &runtimev1.ListImagesResponse{Images: slices.Clone(s.images)}, nil
}

func (s *shelf) ImageFsInfo(context.Context, *runtimev1.ImageFsInfoRequest, ...grpc.CallOption) (*runtimev1.ImageFsInfoResponse, error) {
	return &runtimev1.ImageFsInfoResponse{ImageFilesystems: []*runtimev1.FilesystemUsage{{FsId: &runtimev1.FilesystemIdentifier{Mountpoint: "/images"}}}}, nil
}

func (s *shelf) RemoveImage(_ context.Context, r *runtimev1.RemoveImageRequest, _ ...grpc.CallOption) (*runtimev1.RemoveImageResponse, error) {
	s.removed = append(s.removed, r.GetImage().GetImage())
	s.images = slices.DeleteFunc(s.images, func(i *runtimev1.Image) bool { return i.GetId() == r.GetImage().GetImage() })
	return &runtimev1.RemoveImageResponse{}, nil
}

func (s *shelf) put(id string, size uint64, change ...func(*runtimev1.Image)) {
	img := &runtimev1.Image{Id: id, Size: size}
	for _, c := range change {
		c(img)
	}
	s.images = append(s.images, img)
}

func TestCollect(t *testing.T) {
	for name, test := range map[string]struct {
		free int64 // of 1000 bytes
		used []string
		want []string
		err  string
	}{
		"enough space":          {free: 160},
		"the oldest first":      {free: 150, want: []string{"first"}},
		"as many as it takes":   {free: 60, want: []string{"first", "second", "third"}},
		"all that may go":       {free: 0, want: []string{"first", "second", "third"}, err: "attempted to free 200 bytes, but only found 150 bytes"},
		"not by ID":             {free: 150, used: []string{"first"}, want: []string{"second"}},
		"not by a short name":   {free: 150, used: []string{"first", "app"}, want: []string{"third"}},
		"not by a digest":       {free: 150, used: []string{"first", "second", "x@sha256:" + strings.Repeat("a", 64)}, err: "only found 0 bytes"},
		"nothing of what is in": {free: 0, used: []string{"first", "second", "third"}, err: "only found 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{}
				free, used := int64(1000), []string{}
				c := Collector{
					Images: s, High: 85, Low: 80,
					Used: func(context.Context) ([]string, error) { return used, nil },
					Disk: func(string) (int64, int64, error) { return 1000, free, nil },
				}
				collect := func() error { return c.Collect(t.Context()) }
				s.put("kept", 500, func(i *runtimev1.Image) { i.Pinned = true })
				s.put("first", 50)
				if err := collect(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				s.put("third", 50, func(i *runtimev1.Image) {
					i.RepoDigests = []string{"docker.io/library/x@sha256:" + strings.Repeat("a", 64)}
				})
				s.put("second", 50, func(i *runtimev1.Image) { i.RepoTags = []string{"docker.io/library/app:latest"} })
				used = []string{"third"} // now, and not later: it has been used last
				if err := collect(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Minute)
				s.put("fresh", 50)
				free, used = test.free, test.used
				err := collect()
				if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				if diff := cmp.Diff(test.want, s.removed); diff != "" {
					t.Errorf("removed (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestNothingIsCollectedBlindly: who cannot tell what is in use removes nothing.
func TestNothingIsCollectedBlindly(t *testing.T) {
	s := &shelf{}
	s.put("a", 50)
	c := Collector{
		Images: s, High: 85, Low: 80,
		Used: func(context.Context) ([]string, error) { return nil, errors.New("no answer") },
		Disk: func(string) (int64, int64, error) { return 1000, 0, nil },
	}
	if err := c.Collect(t.Context()); err == nil || len(s.removed) > 0 {
		t.Errorf("error %v, removed %v", err, s.removed)
	}
}

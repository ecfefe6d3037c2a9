package image

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ListImages implements runtimev1.ImageServiceServer.
func (s *Store) ListImages(_ context.Context, r *runtimev1.ListImagesRequest) (*runtimev1.ListImagesResponse, error) {
	return &runtimev1.ListImagesResponse{Images: s.list(r.GetFilter().GetImage().GetImage())}, nil
}

// StreamImages implements runtimev1.ImageServiceServer.
func (s *Store) StreamImages(r *runtimev1.StreamImagesRequest, stream grpc.ServerStreamingServer[runtimev1.StreamImagesResponse]) error {
	const batch = 100
	all := s.list(r.GetFilter().GetImage().GetImage())
	for len(all) > 0 {
		n := min(batch, len(all))
		if err := stream.Send(&runtimev1.StreamImagesResponse{Images: all[:n]}); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func (s *Store) list(ref string) []*runtimev1.Image {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	if ref != "" {
		e, err := s.index.find(ref)
		if err != nil || e.hidden {
			return nil
		}
		return []*runtimev1.Image{s.describeCRI(e)}
	}
	list := make([]*runtimev1.Image, 0, len(s.index.byID))
	for _, e := range s.index.byID {
		if !e.hidden {
			list = append(list, s.describeCRI(e))
		}
	}
	return list
}

// ImageStatus implements runtimev1.ImageServiceServer: an image that is not there is an empty answer.
func (s *Store) ImageStatus(_ context.Context, r *runtimev1.ImageStatusRequest) (*runtimev1.ImageStatusResponse, error) {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	e, err := s.index.find(r.GetImage().GetImage())
	if errdefs.IsNotFound(err) || err == nil && e.hidden {
		return &runtimev1.ImageStatusResponse{}, nil
	}
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	resp := &runtimev1.ImageStatusResponse{Image: s.describeCRI(e)}
	if r.GetVerbose() {
		info, err := json.Marshal(struct {
			ChainID   string        `json:"chainID"`
			ImageSpec ocispec.Image `json:"imageSpec"`
		}{e.chainID, e.spec})
		if err != nil {
			return nil, errgrpc.ToGRPC(fmt.Errorf("encode image: %w", err))
		}
		resp.Info = map[string]string{"info": string(info)}
	}
	return resp, nil
}

// describeCRI needs the index's lock.
func (s *Store) describeCRI(e *entry) *runtimev1.Image {
	img := &runtimev1.Image{Id: e.id, Size: uint64(e.size), Spec: &runtimev1.ImageSpec{Image: e.id}}
	img.RepoTags, img.RepoDigests = split(e.sortedNames())
	img.Pinned = len(img.RepoDigests) == 0 // it came by import, and no registry would bring it back
	user, _, _ := strings.Cut(e.spec.Config.User, ":")
	if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
		img.Uid = &runtimev1.Int64Value{Value: uid}
	} else {
		img.Username = user
	}
	return img
}

// PullImage implements runtimev1.ImageServiceServer. An unknown runtime handler is refused here alone, as by containerd:
// what was pulled for one that is gone can still be looked at and removed.
func (s *Store) PullImage(ctx context.Context, r *runtimev1.PullImageRequest) (*runtimev1.PullImageResponse, error) {
	if handler := r.GetImage().GetRuntimeHandler(); handler != "" && !slices.Contains(s.config.Handlers, handler) {
		return nil, errgrpc.ToGRPC(fmt.Errorf("pull image %q: unknown runtime handler %q: %w", r.GetImage().GetImage(), handler, errdefs.ErrInvalidArgument))
	}
	a := r.GetAuth()
	id, err := s.Pull(ctx, r.GetImage().GetImage(), Credentials{
		Username:      a.GetUsername(),
		Password:      a.GetPassword(),
		Auth:          a.GetAuth(),
		IdentityToken: a.GetIdentityToken(),
		ServerAddress: a.GetServerAddress(),
	}, nil)
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	return &runtimev1.PullImageResponse{ImageRef: id}, nil
}

// RemoveImage implements runtimev1.ImageServiceServer: an image that is not there is no error.
func (s *Store) RemoveImage(ctx context.Context, r *runtimev1.RemoveImageRequest) (*runtimev1.RemoveImageResponse, error) {
	if _, err := s.Remove(ctx, r.GetImage().GetImage()); err != nil && !errdefs.IsNotFound(err) {
		return nil, errgrpc.ToGRPC(err)
	}
	return &runtimev1.RemoveImageResponse{}, nil
}

// ImageFsInfo implements runtimev1.ImageServiceServer: what the unpacked layers take, as it was added up when each was
// unpacked.
func (s *Store) ImageFsInfo(ctx context.Context, _ *runtimev1.ImageFsInfoRequest) (*runtimev1.ImageFsInfoResponse, error) {
	ctx = within(ctx)
	var total snapshots.Usage
	err := s.snapshotter.Walk(ctx, func(ctx context.Context, info snapshots.Info) error {
		usage, err := s.snapshotter.Usage(ctx, info.Name)
		if errdefs.IsNotFound(err) {
			return nil // removed meanwhile
		}
		total.Add(usage)
		return err
	})
	if err != nil {
		return nil, errgrpc.ToGRPC(fmt.Errorf("measure layers: %w", err))
	}
	return &runtimev1.ImageFsInfoResponse{ImageFilesystems: []*runtimev1.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &runtimev1.FilesystemIdentifier{Mountpoint: filepath.Join(s.config.RootDir, "snapshots")},
		UsedBytes:  &runtimev1.UInt64Value{Value: uint64(total.Size)},
		InodesUsed: &runtimev1.UInt64Value{Value: uint64(total.Inodes)},
	}}}, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/test/image"
)

// pulls measures the pull of an image of 100 MB that does not compress, from a registry in this process, until its
// layers are unpacked.
func (b *bench) pulls(ctx context.Context, c *client) error {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/big:v1"
	layers, err := pushBig(ref)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix://"+filepath.Join(c.instance.RunDir, "cri.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	images, spec := runtimev1.NewImageServiceClient(conn), &runtimev1.ImageSpec{Image: ref}
	var samples []float64
	for range max(3, b.runs/3) {
		start := time.Now()
		if _, err := images.PullImage(ctx, &runtimev1.PullImageRequest{Image: spec}); err != nil {
			return err
		}
		samples = append(samples, milliseconds(time.Since(start)))
		if _, err := images.RemoveImage(ctx, &runtimev1.RemoveImageRequest{Image: spec}); err != nil {
			return err
		}
		if err := c.collected(ctx, layers); err != nil {
			return err
		}
	}
	b.add("pull of 100 MB in four layers from loopback", "ms", samples, atMost(700), nil)
	return nil
}

// pushBig returns the digests of the layers.
func pushBig(ref string) (layers []v1.Hash, err error) {
	var big v1.Image
	random := rand.NewChaCha8([32]byte{})
	for i := range 4 {
		content := make([]byte, 25e6)
		random.Read(content)
		if big, err = image.Custom(big, v1.Config{}, []image.File{{Name: fmt.Sprint("data", i), Mode: 0o644, Content: content}}); err != nil {
			return nil, err
		}
	}
	list, err := big.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		digest, err := l.Digest()
		if err != nil {
			return nil, err
		}
		layers = append(layers, digest)
	}
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		return nil, err
	}
	return layers, remote.Write(tag, big)
}

// collected waits until nothing of the layers is on disk, so that the next pull begins anew.
func (c *client) collected(ctx context.Context, layers []v1.Hash) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, l := range layers {
		for {
			_, err := os.Stat(filepath.Join(c.instance.DataDir, "runtime", "images", "content", "blobs", "sha256", l.Hex))
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("layer %s is not collected: %w", l, ctx.Err())
			}
		}
	}
	return nil
}

package image

import (
	"context"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Over returns the Service that a CRI image client provides.
func Over(client runtimev1.ImageServiceClient) Service { return service{client} }

type service struct{ runtimev1.ImageServiceClient }

func (s service) ImageStatus(ctx context.Context, image *runtimev1.ImageSpec) (*runtimev1.Image, error) {
	answer, err := s.ImageServiceClient.ImageStatus(ctx, &runtimev1.ImageStatusRequest{Image: image})
	return answer.GetImage(), err
}

func (s service) PullImage(ctx context.Context, image *runtimev1.ImageSpec, auth *runtimev1.AuthConfig, sandbox *runtimev1.PodSandboxConfig) (string, error) {
	answer, err := s.ImageServiceClient.PullImage(ctx, &runtimev1.PullImageRequest{Image: image, Auth: auth, SandboxConfig: sandbox})
	return answer.GetImageRef(), err
}

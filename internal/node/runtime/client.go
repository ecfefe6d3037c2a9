package runtime

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// maxMessage bounds one answer of the runtime: an ExecSync may carry 16 MiB on each stream.
const maxMessage = 64 << 20

// Client speaks to one CRI runtime. The generated clients are embedded: single calls are made on them directly.
type Client struct {
	runtimev1.RuntimeServiceClient
	Images runtimev1.ImageServiceClient

	conns []*grpc.ClientConn
}

// Dial prepares connections to the two endpoints (unix:///path, or a bare path); the second may be empty when the
// runtime serves images as well. Nothing is sent yet, and the connection is kept up by gRPC for as long as it lives.
func Dial(runtimeEndpoint, imageEndpoint string, extra ...grpc.DialOption) (*Client, error) {
	conn, err := dial(runtimeEndpoint, extra)
	if err != nil {
		return nil, fmt.Errorf("dial runtime %s: %w", runtimeEndpoint, err)
	}
	c := &Client{RuntimeServiceClient: runtimev1.NewRuntimeServiceClient(conn), conns: []*grpc.ClientConn{conn}}
	if imageEndpoint == "" || imageEndpoint == runtimeEndpoint {
		c.Images = runtimev1.NewImageServiceClient(conn)
		return c, nil
	}
	images, err := dial(imageEndpoint, extra)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dial image service %s: %w", imageEndpoint, err)
	}
	c.Images = runtimev1.NewImageServiceClient(images)
	c.conns = append(c.conns, images)
	return c, nil
}

func dial(endpoint string, extra []grpc.DialOption) (*grpc.ClientConn, error) {
	if strings.HasPrefix(endpoint, "/") {
		endpoint = "unix://" + endpoint
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.WaitForReady(true)),
	}, extra...)
	return grpc.NewClient(endpoint, options...)
}

// Close drops the connections. Containers do not notice.
func (c *Client) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// SystemdCgroups tells whether the runtime has systemd make cgroups, so that a Pod's cgroup is named as a slice. One that
// cannot say makes them itself.
func (c *Client) SystemdCgroups(ctx context.Context) (bool, error) {
	answer, err := c.RuntimeConfig(ctx, &runtimev1.RuntimeConfigRequest{})
	if status.Code(err) == codes.Unimplemented {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask runtime who makes cgroups: %w", err)
	}
	return answer.GetLinux() != nil && answer.GetLinux().GetCgroupDriver() == runtimev1.CgroupDriver_SYSTEMD, nil
}

// Identity tells who the runtime is: its name goes in front of every container ID in the Kubernetes API.
func (c *Client) Identity(ctx context.Context) (name, version string, err error) {
	answer, err := c.Version(ctx, &runtimev1.VersionRequest{})
	if err != nil {
		return "", "", fmt.Errorf("ask runtime's version: %w", err)
	}
	return answer.GetRuntimeName(), answer.GetRuntimeVersion(), nil
}

package cri

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestDirect: a client in the same process gets what one at the socket would.
func TestDirect(t *testing.T) {
	f := newFixture(t)
	conn, err := grpc.NewClient("unix:///nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(f.server.Direct()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := runtimev1.NewRuntimeServiceClient(conn)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")

	answer, err := client.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{ContainerId: id})
	if err != nil || answer.GetStatus().GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		t.Fatalf("%v, %v", answer, err)
	}
	answer.Status.Labels["changed"] = "by the client"
	if f.status(id).GetLabels()["changed"] != "" {
		t.Error("client and server share memory")
	}
	if _, err := client.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{ContainerId: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown container: %v", err)
	}
	if _, err := client.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{}); status.Code(err) == codes.OK {
		t.Error("no ID is taken for one")
	}
	images, err := runtimev1.NewImageServiceClient(conn).ListImages(t.Context(), &runtimev1.ListImagesRequest{})
	if err != nil || len(images.GetImages()) == 0 {
		t.Errorf("images %v, %v", images, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.ExecSync(over, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sleep", "1000"}}); status.Code(err) != codes.Canceled {
		t.Errorf("a call that was given up: %v", err)
	}
}

package runtime

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunCommand runs a command in a container and waits for it, at most for timeout. The error is context.DeadlineExceeded if
// the command took longer.
func (c *Client) RunCommand(ctx context.Context, id string, command []string, timeout time.Duration) (code int, output string, err error) {
	answer, err := c.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: int64(timeout / time.Second)})
	if status.Code(err) == codes.DeadlineExceeded {
		return 0, "", context.DeadlineExceeded
	}
	if err != nil {
		return 0, "", errors.New(Reason(err))
	}
	return int(answer.GetExitCode()), string(answer.GetStdout()) + string(answer.GetStderr()), nil
}

package cri

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc"
)

// translateUnary turns error classes into gRPC codes, the one place where that is done, and a panic into an error of
// its call alone.
func translateUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			answer, err = nil, panicked(ctx, info.FullMethod, cause)
		}
	}()
	answer, err = next(ctx, request)
	if err != nil {
		slog.DebugContext(ctx, "call failed", "method", info.FullMethod, "err", err)
	}
	return answer, errgrpc.ToGRPC(err)
}

func translateStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked(stream.Context(), info.FullMethod, cause)
		}
	}()
	return errgrpc.ToGRPC(next(server, stream))
}

func panicked(ctx context.Context, method string, cause any) error {
	slog.ErrorContext(ctx, "call panicked", "method", method, "cause", cause, "stack", string(debug.Stack()))
	return errgrpc.ToGRPC(fmt.Errorf("%s: %v: %w", method, cause, errdefs.ErrInternal))
}

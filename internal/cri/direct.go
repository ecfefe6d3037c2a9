package cri

import (
	"context"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Streams serves the URLs that Exec, Attach and PortForward answer with to a caller in this process.
func (s *Server) Streams() http.Handler { return s.streams.Handler() }

// Direct lets a client in this process reach the server without the socket between. It is the same CRI: messages are
// copied, errors are those that the socket would carry. What is no single call, the stream of events, takes the socket.
func (s *Server) Direct() grpc.UnaryClientInterceptor {
	calls := map[string]func(ctx context.Context, request proto.Message) (any, error){}
	for _, service := range []struct {
		*grpc.ServiceDesc
		server any
	}{{&runtimev1.RuntimeService_ServiceDesc, s}, {&runtimev1.ImageService_ServiceDesc, s.images}} {
		for _, m := range service.Methods {
			calls["/"+service.ServiceName+"/"+m.MethodName] = func(ctx context.Context, request proto.Message) (any, error) {
				decode := func(into any) error { proto.Merge(into.(proto.Message), request); return nil }
				return m.Handler(service.server, ctx, decode, translateUnary)
			}
		}
	}
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		call, ok := calls[method]
		if !ok {
			return invoke(ctx, method, request, reply, conn, options...)
		}
		// The call goes on behind a client that gives up, until it notices, as one over the socket does.
		type result struct {
			answer any
			err    error
		}
		done := make(chan result, 1)
		s.direct.Go(func() {
			answer, err := call(ctx, request.(proto.Message))
			done <- result{answer, err}
		})
		select {
		case r := <-done:
			if r.err != nil {
				return status.Convert(r.err).Err()
			}
			proto.Merge(reply.(proto.Message), r.answer.(proto.Message))
			return nil
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

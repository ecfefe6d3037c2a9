package apiserver

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// collector takes spans and keeps their names.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	mu    sync.Mutex
	names []string
}

func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				c.names = append(c.names, span.Name)
			}
		}
	}
	return new(collectorv1.ExportTraceServiceResponse), nil
}

func TestRequestsLeaveSpans(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server := new(collector), grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	dir := t.TempDir()
	file := writeFile(t, dir, "tracing.yaml", fmt.Sprintf(
		"apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: %q\nsamplingRatePerMillion: 1000000\n", listener.Addr()))
	i := launchWith(t, filepath.Join(dir, "data"), func(c *Config) { c.TracingConfigFile = file })
	if _, err := clientset(t, i.Admin()).CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Spans are sent in batches, the last at the stop.
	i.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, want := range []string{"authentication", "Create", "etcd"} {
		if !strings.Contains(strings.Join(c.names, "\n"), want) {
			t.Errorf("no span of %q among %q", want, c.names)
		}
	}
}

func TestWrongTracingConfigurationIsRefused(t *testing.T) {
	file := writeFile(t, t.TempDir(), "tracing.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nsamplingRatePerMillion: -1\n")
	err := startError(t, func(c *Config) { c.TracingConfigFile = file })
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "samplingRatePerMillion") {
		t.Error(err)
	}
}

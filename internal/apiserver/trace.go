package apiserver

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/tracing"
	tracingv1 "k8s.io/component-base/tracing/api/v1"
)

// spanTimeout is how long a stop waits for the collector to take the last spans.
const spanTimeout = time.Second

// trace makes requests leave spans, by OTLP over gRPC, where a configuration asks for that.
func (s *Server) trace(ctx context.Context, cfg *genericapiserver.Config) error {
	file := s.cfg.TracingConfigFile
	if file == "" {
		return nil
	}
	c, err := readTracing(file)
	if err != nil {
		return fmt.Errorf("tracing configuration %s: %w", file, err)
	}
	ctx = context.WithoutCancel(ctx)
	provider, err := tracing.NewProvider(ctx, c, nil, []resource.Option{
		resource.WithAttributes(semconv.ServiceName("apiserver"), semconv.ServiceInstanceID(s.id)),
	})
	if err != nil {
		return fmt.Errorf("tracing configuration %s: %w", file, err)
	}
	cfg.TracerProvider = provider
	s.closers = append(s.closers, closer(func() {
		// A collector that is away must not keep the server up.
		ctx, cancel := context.WithTimeout(ctx, spanTimeout)
		defer cancel()
		_ = provider.Shutdown(ctx)
	}))
	return nil
}

func readTracing(file string) (*tracingv1.TracingConfiguration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	var c apiserverapi.TracingConfiguration
	if err := runtime.DecodeInto(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), data, &c); err != nil {
		return nil, err
	}
	return &c.TracingConfiguration, tracingv1.ValidateTracingConfiguration(&c.TracingConfiguration, feature.DefaultFeatureGate, nil).ToAggregate()
}

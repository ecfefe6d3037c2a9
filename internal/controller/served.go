package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

const (
	discoveryRetry     = 20 * time.Millisecond
	discoveryRetryMost = time.Second
)

// served is the set of resources that the API server serves.
type served map[schema.GroupVersionResource]bool

func (s served) all(resources ...schema.GroupVersionResource) bool {
	for _, r := range resources {
		if !s[r] {
			return false
		}
	}
	return true
}

// waitServed asks the server what it serves, again and again until it answers.
func waitServed(ctx context.Context, client discovery.DiscoveryInterface) (served, error) {
	for wait := discoveryRetry; ; wait = min(2*wait, discoveryRetryMost) {
		kinds, err := readServed(client)
		if err == nil {
			return kinds, nil
		}
		slog.DebugContext(ctx, "controllers wait for the API server", "err", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func readServed(client discovery.DiscoveryInterface) (served, error) {
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("discover resources: %w", err)
	}
	kinds := served{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discovered group: %w", err)
		}
		for _, r := range list.APIResources {
			kinds[gv.WithResource(r.Name)] = true
		}
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("discover resources: none served yet")
	}
	return kinds, nil
}

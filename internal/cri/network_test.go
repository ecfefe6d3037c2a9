package cri

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/mayfly-run/mayfly/internal/cri/network"
)

func TestBandwidthOfAnnotations(t *testing.T) {
	for name, tc := range map[string]struct {
		annotations map[string]string
		want        network.Bandwidth
		refused     bool
	}{
		"none":      {nil, network.Bandwidth{}, false},
		"both":      {map[string]string{ingressBandwidth: "10M", egressBandwidth: "1k"}, network.Bandwidth{Ingress: 10e6, Egress: 1e3}, false},
		"words":     {map[string]string{ingressBandwidth: "fast"}, network.Bandwidth{}, true},
		"too small": {map[string]string{egressBandwidth: "999"}, network.Bandwidth{}, true},
		"too large": {map[string]string{egressBandwidth: "2P"}, network.Bandwidth{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := bandwidth(tc.annotations)
			if diff := cmp.Diff(tc.want, got); diff != "" || errdefs.IsInvalidArgument(err) != tc.refused {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

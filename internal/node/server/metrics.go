package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves the process's figures and those of the kubelet that dashboards know.
func (s *server) metrics() http.HandlerFunc {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kubelet_running_pods", Help: "Number of pods that have a running pod sandbox"}, s.runningPods),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kubelet_running_containers", Help: "Number of containers currently running"}, s.runningContainers),
	)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return handler.ServeHTTP
}

func (s *server) runningPods() float64 {
	n := 0
	for _, p := range s.Pods.List() {
		if p.Observed().Sandbox() != nil {
			n++
		}
	}
	return float64(n)
}

func (s *server) runningContainers() float64 {
	n := 0
	for _, p := range s.Pods.List() {
		rt := p.Observed()
		if rt == nil {
			continue
		}
		for _, c := range rt.Containers {
			if c.Running() {
				n++
			}
		}
	}
	return float64(n)
}

package compile_test

import (
	"testing"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	"github.com/mayfly-run/mayfly/internal/launch/seccomp"
)

func BenchmarkContainer(b *testing.B) {
	s := monitortest.Spec("/tmp", "/bin/true")
	s.Linux.Seccomp = containerd.DefaultProfile(s)
	var cache seccomp.Cache
	var p *launch.Program
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if p, _, err = compile.Container(s, compile.Options{Filters: &cache}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(p.Calls)), "calls")
	b.ReportMetric(float64(len(p.Data)), "bytes")
}

func BenchmarkEncode(b *testing.B) {
	s := monitortest.Spec("/tmp", "/bin/true")
	s.Linux.Seccomp = containerd.DefaultProfile(s)
	p, _, err := compile.Container(s, compile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var content []byte
	b.Run("marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if content, err = p.MarshalBinary(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(content)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := launch.Decode(content); err != nil {
				b.Fatal(err)
			}
		}
	})
}

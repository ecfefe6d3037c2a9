package monitor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	"github.com/mayfly-run/mayfly/internal/launch/seccomp"
)

// percentiles reports milliseconds.
func percentiles(b *testing.B, what string, took []time.Duration) {
	slices.Sort(took)
	for _, p := range []int{10, 50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds())/1000, fmt.Sprintf("%s-ms/p%d", what, p))
	}
}

// BenchmarkStart starts containers in cgroups of their own, with the default filter: from
// the configuration to the container's first instruction.
func BenchmarkStart(b *testing.B) {
	p := monitortest.New(b)
	g := group(b)
	root := monitortest.Root(b)
	events := p.Events(context.Background())
	var filters seccomp.Cache
	var all, compiled []time.Duration
	i := 0
	for b.Loop() {
		i++
		id := fmt.Sprint(i)
		spec := monitortest.Spec(root, "/bin/busybox", "true")
		spec.Linux.Seccomp = containerd.DefaultProfile(spec)
		begin := time.Now()
		program, files, err := compile.Container(spec, compile.Options{CgroupDirs: g.Dirs(), Filters: &filters})
		if err != nil {
			b.Fatal(err)
		}
		compiled = append(compiled, time.Since(begin))
		if _, err := p.Start(context.Background(), monitor.StartRequest{ID: id, Program: program, Files: files, KillDir: g.KillDir(), OOMFile: g.OOMFile()}); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(begin))
		b.StopTimer()
		for _, f := range files {
			f.Close()
		}
		exit(b, events, id)
		if err := p.Remove(context.Background(), id); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	percentiles(b, "compile", compiled)
	percentiles(b, "start", all)
}

func BenchmarkExec(b *testing.B) {
	p := monitortest.New(b)
	spec := sleeper(b, p, "a")
	process := *spec.Process
	process.Args = []string{"/bin/busybox", "true"}
	var filters seccomp.Cache
	profile := containerd.DefaultProfile(spec)
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		program, files, err := compile.Exec(&process, compile.ExecOptions{Seccomp: profile, Filters: &filters})
		if err != nil {
			b.Fatal(err)
		}
		e, err := p.Exec(context.Background(), monitor.ExecRequest{ID: "a", Program: program, Files: files})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
		b.StopTimer()
		for _, f := range files {
			f.Close()
		}
		if _, err := e.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	percentiles(b, "exec", took)
}

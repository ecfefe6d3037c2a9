// Package node is the node agent: a lean kubelet. It knows the Kubernetes API, the CRI and the kubelet's HTTP API, and
// nothing else, so that it can run Pods for any control plane on any CRI runtime.
//
// A guided tour:
//
//	agent.go     putting it together; the life of an Agent
//	pods.go      the Pods of this node: from the watch to one pod.Worker each, and what to do with strangers
//	static.go    the Pods that files ask for, and their mirrors in the API
//	register.go  the Node object, its status; lease.go its heartbeat
//	objects.go   ConfigMaps, Secrets, tokens and RuntimeClasses that Pods refer to
//	rotate.go    keeping logs small; images.go keeping images few
//
// Then pod/ for one Pod's life, status/ for what is told about it, and server/ for exec, attach, logs and the rest of
// the kubelet API.
//
// The agent keeps no state of its own, but for the user IDs that Pods have on the host (userns). After a restart it sees
// the same as before: the API server and the files of static Pods know what should be, the runtime what is. When Run
// ends, containers go on running.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/image"
	"github.com/mayfly-run/mayfly/internal/node/pod"
	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/server"
	"github.com/mayfly-run/mayfly/internal/node/userns"
	"github.com/mayfly-run/mayfly/internal/node/volume"
)

// Agent runs the Pods of one node.
type Agent struct {
	cfg     Config
	client  kubernetes.Interface
	runtime *runtime.Client
	objects *objects
	machine machine
	address string
	pods    *pods
	handler http.Handler
	ready   chan struct{}

	runtimeName, runtimeVersion string
}

// New returns an Agent. Neither the API server nor the runtime need to be there yet.
func New(cfg Config) (*Agent, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	for _, dir := range []string{cfg.RootDir, cfg.LogDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make node directory: %w", err)
		}
	}
	config := rest.CopyConfig(cfg.Client)
	if config.QPS == 0 {
		config.QPS = -1 // the API server's fairness decides
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make API client: %w", err)
	}
	rt, err := runtime.Dial(cfg.RuntimeEndpoint, cfg.ImageEndpoint, cfg.RuntimeOptions...)
	if err != nil {
		return nil, err
	}
	m, err := readMachine(cfg.RootDir)
	if err != nil {
		return nil, err
	}
	return assemble(cfg, client, rt, m), nil
}

func assemble(cfg Config, client kubernetes.Interface, rt *runtime.Client, m machine) *Agent {
	a := &Agent{cfg: cfg, client: client, runtime: rt, objects: newObjects(client), machine: m, address: cfg.Address, ready: make(chan struct{})}
	if a.address == "" {
		a.address = hostAddress()
	}
	a.pods = newPods(a)
	a.handler = server.New(server.Config{Pods: a.pods, Runtime: rt, Streams: cfg.Streams, NodeName: cfg.NodeName, LogDir: cfg.LogDir, StartedAt: time.Now()})
	return a
}

// Ready is closed once the Node is registered and its Pods are known.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Handler serves the kubelet's HTTP API. Whoever can reach it may do everything: it is for a private transport.
func (a *Agent) Handler() http.Handler { return a.handler }

// Run runs Pods until ctx ends. Containers run on.
func (a *Agent) Run(ctx context.Context) error {
	defer a.runtime.Close()
	var err error
	if a.runtimeName, a.runtimeVersion, err = a.runtime.Identity(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	if a.cfg.PodCIDR != "" {
		request := &runtimev1.UpdateRuntimeConfigRequest{RuntimeConfig: &runtimev1.RuntimeConfig{NetworkConfig: &runtimev1.NetworkConfig{PodCidr: a.cfg.PodCIDR}}}
		if _, err := a.runtime.UpdateRuntimeConfig(ctx, request); err != nil {
			return ignoreEnd(ctx, fmt.Errorf("tell runtime the pod network: %w", err))
		}
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: a.client.CoreV1().Events("")})
	recorder := events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: a.cfg.NodeName})
	if a.pods.node, err = a.podNode(ctx, recorder); err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	var waits sync.WaitGroup
	waits.Add(2)
	group.Go(func() error { a.keepRegistered(ctx, sync.OnceFunc(waits.Done)); return nil })
	group.Go(func() error { a.keepLease(ctx); return nil })
	group.Go(func() error { return a.pods.run(ctx, sync.OnceFunc(waits.Done)) })
	group.Go(func() error { a.keepLogsSmall(ctx); return nil })
	group.Go(func() error { a.keepImagesFew(ctx, recorder); return nil })
	if a.cfg.Server != nil {
		group.Go(func() error { return a.serve(ctx) })
	}
	go func() {
		waits.Wait()
		close(a.ready)
	}()
	return ignoreEnd(ctx, group.Wait())
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *Agent) podNode(ctx context.Context, recorder record.EventRecorder) (*pod.Node, error) {
	capacity := a.machine.capacity(a.cfg.MaxPods)
	volumes := volume.New(a.cfg.RootDir, a.objects)
	left, err := volumes.UIDs()
	if err != nil {
		return nil, err
	}
	users, err := userns.New(volumes.PodDir, left)
	if err != nil {
		slog.ErrorContext(ctx, "not all user IDs of pods are known", "err", err)
	}
	slices, err := a.runtime.SystemdCgroups(ctx)
	if err != nil {
		return nil, err
	}
	return &pod.Node{
		Name:        a.cfg.NodeName,
		Client:      a.client,
		Runtime:     a.runtime,
		RuntimeName: a.runtimeName,
		Images:      image.New(image.Over(a.runtime.Images)),
		Volumes:     volumes,
		Users:       users,
		Objects:     a.objects,
		Recorder:    recorder,
		Check:       probe.NewCheck(a.runtime),
		DNS:         a.cfg.DNS,
		LogDir:      a.cfg.LogDir,
		CgroupRoot:  a.cfg.CgroupRoot,
		Slices:      slices,
		Cgroups:     a.cfg.Cgroups,
		PodPIDs:     a.cfg.PodPIDs,

		UnsafeSysctls: a.cfg.UnsafeSysctls,
		API:           a.cfg.API,
		HostIPs:       []string{a.address},
		Capacity:      capacity,
		Allocatable:   capacity,
		Claimed:       a.pods.claimed,
		Freed:         a.pods.freed,
		Caps:          a.cfg.caps(a.machine.memory, a.runtimeName == ownRuntime || unifiedCgroups()),
	}, nil
}

// ownRuntime is the name of Mayfly's runtime, which takes pids.max in the unified resources on any cgroup version.
const ownRuntime = "mayfly"

// Purge undoes every mount that a node with this RootDir has left behind. Its containers must be gone. As after a
// reboot, volumes on disk are there again for Pods that still exist at the next start.
func Purge(cfg Config) error { return volume.Purge(cfg.RootDir) }

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// leastCRIRuns is how often each call of the runtime is measured at least: they are short, so a few say little.
const leastCRIRuns = 50

// runtimeClient speaks to the runtime of an instance through its CRI socket, as a kubelet or crictl does.
type runtimeClient struct {
	runtimev1.RuntimeServiceClient
	logs string
}

// runtime measures the embedded runtime alone, by its CRI.
func (b *bench) runtime(ctx context.Context, c *client) (err error) {
	conn, err := grpc.NewClient("unix://"+c.instance.RuntimeSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	r := &runtimeClient{runtimev1.NewRuntimeServiceClient(conn), filepath.Join(c.instance.Dir, "bench-logs")}
	with := func(name string, measure func(context.Context, *runtimeClient) error) part {
		return part{name, func(ctx context.Context) error { return measure(ctx, r) }}
	}
	return b.each(ctx, with("CRI sandboxes", b.sandboxes), with("CRI containers", b.containers), with("CRI streams", b.streams))
}

// sandboxes measures RunPodSandbox with the built-in network.
func (b *bench) sandboxes(ctx context.Context, r *runtimeClient) error {
	var samples []float64
	for i := range max(leastCRIRuns, b.runs) {
		config := r.sandbox(fmt.Sprintf("sandbox-%d", i))
		start := time.Now()
		answer, err := r.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: config})
		if err != nil {
			return err
		}
		samples = append(samples, milliseconds(time.Since(start)))
		if _, err := r.RemovePodSandbox(ctx, &runtimev1.RemovePodSandboxRequest{PodSandboxId: answer.GetPodSandboxId()}); err != nil {
			return err
		}
	}
	b.add("CRI: RunPodSandbox, built-in network", "ms", samples, atMost(8), nil)
	return nil
}

// containers measures CreateContainer and StartContainer, ExecSync, and the memory of a monitor.
func (b *bench) containers(ctx context.Context, r *runtimeClient) error {
	return r.inSandbox(ctx, "containers", func(pod string, config *runtimev1.PodSandboxConfig) error {
		const others = 10
		var last string
		for i := range others {
			id, err := r.start(ctx, pod, config, fmt.Sprintf("beside-%d", i), "sleep", "1000000")
			if err != nil {
				return err
			}
			last = id
		}
		if err := r.inSandbox(ctx, "another", func(string, *runtimev1.PodSandboxConfig) error { return b.monitor(ctx, r, pod) }); err != nil {
			return err
		}
		var started, executed []float64
		for i := range max(leastCRIRuns, b.runs) {
			begin := time.Now()
			id, err := r.start(ctx, pod, config, fmt.Sprintf("started-%d", i), "sleep", "1000000")
			if err != nil {
				return err
			}
			started = append(started, milliseconds(time.Since(begin)))
			if _, err := r.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
				return err
			}
			begin = time.Now()
			if _, err := r.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: last, Cmd: []string{"true"}}); err != nil {
				return err
			}
			executed = append(executed, milliseconds(time.Since(begin)))
		}
		b.add("CRI: CreateContainer and StartContainer", "ms", started, atMost(4), nil)
		b.add("CRI: ExecSync true", "ms", executed, atMost(1), nil)
		return nil
	})
}

// monitor measures what a monitor of ten containers has of memory for itself. There must be another one, with which it
// shares its executable.
func (b *bench) monitor(ctx context.Context, r *runtimeClient, pod string) error {
	time.Sleep(3 * settle) // it gives memory back after two seconds in which nothing happened
	pid, err := r.monitorOf(ctx, pod)
	if err != nil {
		return err
	}
	private := memory(pid, "smaps_rollup", "Private_Clean") + memory(pid, "smaps_rollup", "Private_Dirty")
	b.single("CRI: private memory of a monitor with ten containers", "MB", private, atMost(1))
	return nil
}

// streams measures how fast output arrives through the streaming server, of a command and of a container.
func (b *bench) streams(ctx context.Context, r *runtimeClient) error {
	const size = 256 << 20
	flood := []string{"dd", "if=/dev/zero", "bs=1M", fmt.Sprint("count=", size>>20)}
	return r.inSandbox(ctx, "streams", func(pod string, config *runtimev1.PodSandboxConfig) error {
		var executed, attached []float64
		id, err := r.start(ctx, pod, config, "app", "sleep", "1000000")
		if err != nil {
			return err
		}
		for i := range max(5, b.runs/3) {
			answer, err := r.Exec(ctx, &runtimev1.ExecRequest{ContainerId: id, Cmd: flood, Stdout: true})
			if err != nil {
				return err
			}
			speed, err := received(ctx, answer.GetUrl(), nil, size)
			if err != nil {
				return fmt.Errorf("exec: %w", err)
			}
			executed = append(executed, speed)
			if speed, err = r.attach(ctx, pod, config, fmt.Sprintf("attached-%d", i), flood, size); err != nil {
				return fmt.Errorf("attach: %w", err)
			}
			attached = append(attached, speed)
		}
		b.add("CRI: exec stdout through the streaming server", "MB/s", executed, atLeast(300), nil)
		b.add("CRI: attach stdout through the streaming server, logged as well", "MB/s", attached, atLeast(300), nil)
		return nil
	})
}

// attach measures the output of a container that waits for a line of input before it writes.
func (r *runtimeClient) attach(ctx context.Context, pod string, config *runtimev1.PodSandboxConfig, name string, flood []string, size int64) (float64, error) {
	script := append([]string{"sh", "-c", `read line; exec "$@"`, "sh"}, flood...)
	id, err := r.start(ctx, pod, config, name, script...)
	if err != nil {
		return 0, err
	}
	answer, err := r.Attach(ctx, &runtimev1.AttachRequest{ContainerId: id, Stdin: true, Stdout: true})
	if err != nil {
		return 0, err
	}
	in, input := io.Pipe()
	defer input.Close()
	go fmt.Fprintln(input)
	speed, err := received(ctx, answer.GetUrl(), in, size)
	if err != nil {
		return 0, err
	}
	_, err = r.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: id})
	return speed, err
}

// received takes output from the streaming server until its end, and returns its speed in MB/s.
func received(ctx context.Context, address string, in io.Reader, size int64) (float64, error) {
	at, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: at.Host}, "POST", at)
	if err != nil {
		return 0, err
	}
	var counted counter
	start := time.Now()
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: &counted}); err != nil {
		return 0, err
	}
	if int64(counted) != size {
		return 0, fmt.Errorf("output was lost: %d of %d bytes arrived", counted, size)
	}
	return float64(size) / 1e6 / time.Since(start).Seconds(), nil
}

// inSandbox does something in a sandbox of its own.
func (r *runtimeClient) inSandbox(ctx context.Context, name string, do func(pod string, config *runtimev1.PodSandboxConfig) error) (err error) {
	config := r.sandbox(name)
	answer, err := r.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: config})
	if err != nil {
		return err
	}
	defer func() {
		_, gone := r.RemovePodSandbox(context.WithoutCancel(ctx), &runtimev1.RemovePodSandboxRequest{PodSandboxId: answer.GetPodSandboxId()})
		err = errors.Join(err, gone)
	}()
	return do(answer.GetPodSandboxId(), config)
}

// sandbox is a sandbox as a Pod has it: a network and a process namespace per container.
func (r *runtimeClient) sandbox(name string) *runtimev1.PodSandboxConfig {
	return &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: name, Namespace: "bench", Uid: "bench-" + name},
		Hostname: name, LogDirectory: filepath.Join(r.logs, name),
		Linux: &runtimev1.LinuxPodSandboxConfig{SecurityContext: &runtimev1.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER},
		}},
	}
}

// start creates and starts a container.
func (r *runtimeClient) start(ctx context.Context, pod string, config *runtimev1.PodSandboxConfig, name string, command ...string) (string, error) {
	created, err := r.CreateContainer(ctx, &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: &runtimev1.ContainerConfig{
		Metadata: &runtimev1.ContainerMetadata{Name: name}, Image: &runtimev1.ImageSpec{Image: "busybox"}, Command: command,
		LogPath: name + ".log", Stdin: true, StdinOnce: true,
		Linux: &runtimev1.LinuxContainerConfig{SecurityContext: &runtimev1.LinuxContainerSecurityContext{
			NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER},
		}},
	}})
	if err != nil {
		return "", err
	}
	_, err = r.StartContainer(ctx, &runtimev1.StartContainerRequest{ContainerId: created.GetContainerId()})
	return created.GetContainerId(), err
}

// monitorOf asks for the process that watches over a sandbox.
func (r *runtimeClient) monitorOf(ctx context.Context, pod string) (int, error) {
	answer, err := r.PodSandboxStatus(ctx, &runtimev1.PodSandboxStatusRequest{PodSandboxId: pod, Verbose: true})
	if err != nil {
		return 0, err
	}
	var info struct{ MonitorPID int }
	if err := json.Unmarshal([]byte(answer.GetInfo()["info"]), &info); err != nil {
		return 0, fmt.Errorf("verbose status of sandbox %s: %w", pod, err)
	}
	return info.MonitorPID, nil
}

package nri

import (
	"maps"
	"slices"

	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
)

// podOf describes the sandbox of a container, by its ID alone when it is gone.
func (p *Plugins) podOf(c *container.Container) *api.PodSandbox {
	box, err := p.sandboxes.Get(c.SandboxID())
	if err != nil {
		return &api.PodSandbox{Id: c.SandboxID()}
	}
	return p.pod(box)
}

// container describes a container, without its specification when that is gone.
func (p *Plugins) container(c *container.Container) *api.Container {
	built, err := p.containers.Spec(c)
	if err != nil {
		built = &specs.Spec{}
	}
	return describe(c, built)
}

func describe(c *container.Container, built *specs.Spec) *api.Container {
	config, status := c.Config(), c.Status()
	out := &api.Container{
		Id: c.ID, PodSandboxId: c.SandboxID(), Name: config.GetMetadata().GetName(), State: state(status.GetState()),
		Labels: maps.Clone(config.GetLabels()), Annotations: joined(built.Annotations, config.GetAnnotations()),
		Mounts: api.FromOCIMounts(built.Mounts), Hooks: api.FromOCIHooks(built.Hooks),
		Pid: uint32(c.PID()), CreatedAt: status.GetCreatedAt(), StartedAt: status.GetStartedAt(), FinishedAt: status.GetFinishedAt(),
		ExitCode: status.GetExitCode(), StatusReason: status.GetReason(), StatusMessage: status.GetMessage(),
		Image: &api.Image{Name: config.GetImage().GetImage(), Digest: status.GetImageRef(), ConfigDigest: status.GetImageId()},
		Linux: &api.LinuxContainer{},
	}
	for _, device := range config.GetCDIDevices() {
		out.CDIDevices = append(out.CDIDevices, &api.CDIDevice{Name: device.GetName()})
	}
	if profile := config.GetLinux().GetSecurityContext().GetSeccomp(); profile != nil {
		out.Linux.SeccompProfile = &api.SecurityProfile{
			ProfileType: api.SecurityProfile_ProfileType(profile.GetProfileType()), LocalhostRef: profile.GetLocalhostRef(), // the same numbers
		}
	}
	describeProcess(out, built.Process)
	describeLinux(out.Linux, built.Linux)
	return out
}

func describeProcess(out *api.Container, process *specs.Process) {
	if process == nil {
		return
	}
	out.Args, out.Env = slices.Clone(process.Args), slices.Clone(process.Env)
	out.User = &api.User{Uid: process.User.UID, Gid: process.User.GID, AdditionalGids: process.User.AdditionalGids}
	for _, limit := range process.Rlimits {
		out.Rlimits = append(out.Rlimits, &api.POSIXRlimit{Type: limit.Type, Hard: limit.Hard, Soft: limit.Soft})
	}
	out.Linux.OomScoreAdj = api.Int(process.OOMScoreAdj)
	out.Linux.IoPriority = api.FromOCILinuxIOPriority(process.IOPriority)
	if process.Scheduler != nil {
		out.Linux.Scheduler = api.FromOCILinuxScheduler(process.Scheduler)
	}
}

func describeLinux(out *api.LinuxContainer, linux *specs.Linux) {
	if linux == nil {
		return
	}
	out.Namespaces = api.FromOCILinuxNamespaces(linux.Namespaces)
	out.Devices = api.FromOCILinuxDevices(linux.Devices)
	out.Resources = api.FromOCILinuxResources(linux.Resources, nil)
	out.CgroupsPath, out.Sysctl = linux.CgroupsPath, maps.Clone(linux.Sysctl)
	out.NetDevices = api.FromOCILinuxNetDevices(linux.NetDevices)
	if linux.Seccomp != nil {
		out.SeccompPolicy = api.FromOCILinuxSeccomp(linux.Seccomp)
	}
}

func state(s runtimev1.ContainerState) api.ContainerState {
	switch s {
	case runtimev1.ContainerState_CONTAINER_CREATED:
		return api.ContainerState_CONTAINER_CREATED
	case runtimev1.ContainerState_CONTAINER_RUNNING:
		return api.ContainerState_CONTAINER_RUNNING
	case runtimev1.ContainerState_CONTAINER_EXITED:
		return api.ContainerState_CONTAINER_STOPPED
	}
	return api.ContainerState_CONTAINER_UNKNOWN
}

// joined merges, the later winning.
func joined(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

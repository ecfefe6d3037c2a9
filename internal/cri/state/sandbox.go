package state

import (
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Phase is how far a sandbox has come.
type Phase string

// The life of a sandbox: a crash in Starting means that the client never learnt of it, so it is taken down at the
// next start; Stopping is finished then; Ready is found again.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Stopped  Phase = "stopped"
)

// Sandbox is what is remembered of a Pod sandbox.
type Sandbox struct {
	Config         Proto[*runtimev1.PodSandboxConfig] `json:"config"`
	RuntimeHandler string                             `json:"runtimeHandler,omitempty"`
	Phase          Phase                              `json:"phase"`
	// CreatedAt is in nanoseconds since the epoch, as everywhere in the CRI.
	CreatedAt int64 `json:"createdAt"`
	// IPs are the addresses in the Pod's network namespace; empty with the host's network. The first is the main one.
	IPs []string `json:"ips,omitempty"`
	// CgroupParent is the Pod's cgroup, as a path from the root of each hierarchy.
	CgroupParent string `json:"cgroupParent"`
	// OwnCgroup says that the client named no cgroup, so that the runtime made CgroupParent and must remove it.
	OwnCgroup bool `json:"ownCgroup,omitempty"`
	// Networked says that network set-up began, so that tear-down must follow.
	Networked bool `json:"networked,omitempty"`
	// SharedPID says that a pause process holds a PID namespace for all containers of the Pod.
	SharedPID bool `json:"sharedPID,omitempty"`
}

// Container is what is remembered of a container.
type Container struct {
	SandboxID string `json:"sandboxID"`
	// Handler is the runtime handler that runs it, empty for launch programs.
	Handler string                            `json:"handler,omitempty"`
	Config  Proto[*runtimev1.ContainerConfig] `json:"config"`
	// ImageID is the resolved image, whatever the client called it.
	ImageID string `json:"imageID"`
	// ImageRef is the digest by which the image was pulled, or ImageID.
	ImageRef string `json:"imageRef"`
	// LogPath is the log's full path; empty means that output goes nowhere.
	LogPath string `json:"logPath,omitempty"`
	// Cgroup is the container's own cgroup.
	Cgroup string `json:"cgroup"`
	// User is whom the first process runs as.
	User Proto[*runtimev1.LinuxContainerUser] `json:"user"`
	// StopSignal is the number of the signal that StopContainer sends first.
	StopSignal int `json:"stopSignal"`
	// Mounted says that image volumes are mounted in the container's directory.
	Mounted bool `json:"mounted,omitempty"`
	// Lower are the image's layers as overlay directories, the top first.
	Lower []string `json:"lower"`
	// CreatedAt, StartedAt and FinishedAt are nanoseconds since the epoch, 0 when it has not come to that.
	CreatedAt  int64 `json:"createdAt"`
	StartedAt  int64 `json:"startedAt,omitempty"`
	FinishedAt int64 `json:"finishedAt,omitempty"`
	// Started is written before the launch and never unset: what ran once is never started again, whoever dies.
	Started bool `json:"started,omitempty"`
	// ExitCode, Reason and Message tell the end, once FinishedAt is set.
	ExitCode int32  `json:"exitCode,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
}

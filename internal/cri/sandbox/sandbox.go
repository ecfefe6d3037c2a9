package sandbox

import (
	"maps"
	"sync"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Sandbox is one Pod sandbox.
type Sandbox struct {
	ID string

	// Tracing is held by a launch: for writing where the container may trace others of the sandbox, for reading where it
	// relies on nobody there doing so.
	Tracing sync.RWMutex

	// life makes starting, stopping and removing take turns.
	life sync.Mutex

	mu      sync.Mutex // guards all below
	record  state.Sandbox
	client  *monitor.Client
	removed bool
}

// Config is what the client asked for. It is not to be changed.
func (s *Sandbox) Config() *runtimev1.PodSandboxConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.Config.Message
}

// RuntimeHandler is the handler that the client chose, empty for the default.
func (s *Sandbox) RuntimeHandler() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.RuntimeHandler
}

// Ready tells whether containers can be started in it.
func (s *Sandbox) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.Phase == state.Ready && s.client != nil
}

// Monitor returns the connection to the Pod's monitor, nil when it is gone.
func (s *Sandbox) Monitor() *monitor.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// CgroupParent is the cgroup below which containers get theirs.
func (s *Sandbox) CgroupParent() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.CgroupParent
}

// IPs are the sandbox's addresses, the main one first.
func (s *Sandbox) IPs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.IPs
}

// State is the CRI's.
func (s *Sandbox) State() runtimev1.PodSandboxState {
	if s.Ready() {
		return runtimev1.PodSandboxState_SANDBOX_READY
	}
	return runtimev1.PodSandboxState_SANDBOX_NOTREADY
}

// List returns the short form.
func (s *Sandbox) List() *runtimev1.PodSandbox {
	state := s.State()
	s.mu.Lock()
	defer s.mu.Unlock()
	config := s.record.Config.Message
	return &runtimev1.PodSandbox{
		Id: s.ID, Metadata: config.GetMetadata(), State: state, CreatedAt: s.record.CreatedAt,
		Labels: maps.Clone(config.GetLabels()), Annotations: maps.Clone(config.GetAnnotations()), RuntimeHandler: s.record.RuntimeHandler,
	}
}

// Status returns the long form.
func (s *Sandbox) Status() *runtimev1.PodSandboxStatus {
	state := s.State()
	s.mu.Lock()
	defer s.mu.Unlock()
	config := s.record.Config.Message
	status := &runtimev1.PodSandboxStatus{
		Id: s.ID, Metadata: config.GetMetadata(), State: state, CreatedAt: s.record.CreatedAt,
		Labels: maps.Clone(config.GetLabels()), Annotations: maps.Clone(config.GetAnnotations()), RuntimeHandler: s.record.RuntimeHandler,
		Network: &runtimev1.PodSandboxNetworkStatus{},
		Linux: &runtimev1.LinuxPodSandboxStatus{
			Namespaces: &runtimev1.Namespace{Options: config.GetLinux().GetSecurityContext().GetNamespaceOptions()},
		},
	}
	for i, ip := range s.record.IPs {
		if i == 0 {
			status.Network.Ip = ip
			continue
		}
		status.Network.AdditionalIps = append(status.Network.AdditionalIps, &runtimev1.PodIP{Ip: ip})
	}
	return status
}

// wanted reads the namespaces to be made from the client's options. With the host's network comes its hostname.
func wanted(config *runtimev1.PodSandboxConfig, hostname string) Wanted {
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	own := options.GetNetwork() != runtimev1.NamespaceMode_NODE
	users, _ := UsersOf(config) // check has refused what is wrong with it
	return Wanted{
		Network: own, UTS: own, Hostname: hostname, Users: users,
		IPC:     options.GetIpc() != runtimev1.NamespaceMode_NODE,
		PID:     options.GetPid() == runtimev1.NamespaceMode_POD && options != nil,
		Sysctls: config.GetLinux().GetSysctls(),
	}
}

package spec

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Input is all that a specification depends on.
type Input struct {
	// ID and SandboxID are the runtime's.
	ID, SandboxID string
	Container     *runtimev1.ContainerConfig
	Sandbox       *runtimev1.PodSandboxConfig
	// Image is the configuration inside the image.
	Image ocispec.ImageConfig
	// Accounts are the image's passwd and group files.
	Accounts Accounts
	// Namespaces holds the paths to join.
	Namespaces Namespaces
	// UIDs and GIDs are the mappings of the Pod's user namespace, empty where it has none of its own.
	UIDs, GIDs []specs.LinuxIDMapping
	// Files holds the host paths of what the sandbox gives to each of its containers.
	Files Files
	// Cgroup is the container's cgroup, as a path from the root of each hierarchy.
	Cgroup string
	// ImageVolumes maps the index of a mount with an image to the host directory that shows it.
	ImageVolumes map[int]string
	// Hostname is what HOSTNAME is set to.
	Hostname string
	// CgroupNamespace asks for a cgroup namespace of its own, as usual where cgroup v2 is.
	CgroupNamespace bool
	// AppArmorProfiles lists the profiles that the kernel knows, nil where it has no AppArmor.
	AppArmorProfiles func() ([]string, error)
	// AppArmorDefault is the profile of containers that ask for the runtime's, empty where the machine takes none.
	AppArmorDefault string
	// SELinux says that the kernel has SELinux.
	SELinux bool
}

// Namespaces are paths of namespaces to join. An empty path means the host's, for PID a new one unless HostPID.
type Namespaces struct {
	Network, IPC, UTS, PID, User string
	HostPID                      bool
}

// Files are host paths that are bound into the container where the client mounts nothing else; empty means none.
type Files struct {
	ResolvConf, Hostname, Hosts, Shm string
}

// Accounts are the contents of /etc/passwd and /etc/group; missing files are empty.
type Accounts struct{ Passwd, Group []byte }

func (in *Input) security() *runtimev1.LinuxContainerSecurityContext {
	return in.Container.GetLinux().GetSecurityContext()
}

func (in *Input) privileged() bool { return in.security().GetPrivileged() }

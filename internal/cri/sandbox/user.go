package sandbox

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Users maps the users and groups of a Pod to the host's.
type Users struct{ UIDs, GIDs []specs.LinuxIDMapping }

// root returns the host's numbers of the Pod's root, -1 where it has none.
func (u *Users) root() (uid, gid int64) { return mapped(u.UIDs), mapped(u.GIDs) }

func mapped(list []specs.LinuxIDMapping) int64 {
	for _, m := range list {
		if m.ContainerID == 0 && m.Size > 0 {
			return int64(m.HostID)
		}
	}
	return -1
}

// UsersOf reads what a sandbox wants, nil for the host's user namespace.
func UsersOf(config *runtimev1.PodSandboxConfig) (*Users, error) {
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	wanted := options.GetUsernsOptions()
	if wanted == nil || wanted.GetMode() == runtimev1.NamespaceMode_NODE {
		return nil, nil
	}
	if wanted.GetMode() != runtimev1.NamespaceMode_POD {
		return nil, fmt.Errorf("user namespace of mode %v: %w", wanted.GetMode(), errdefs.ErrInvalidArgument)
	}
	if len(wanted.GetUids()) != 1 || len(wanted.GetGids()) != 1 {
		return nil, fmt.Errorf("user namespace with %d mappings of users and %d of groups, not one of each: %w", len(wanted.GetUids()), len(wanted.GetGids()), errdefs.ErrInvalidArgument)
	}
	for _, mode := range []runtimev1.NamespaceMode{options.GetNetwork(), options.GetIpc(), options.GetPid()} {
		if mode == runtimev1.NamespaceMode_NODE {
			return nil, fmt.Errorf("a user namespace goes with no network, IPC or PID namespace of the host: %w", errdefs.ErrInvalidArgument)
		}
	}
	users := &Users{UIDs: Mappings(wanted.GetUids()), GIDs: Mappings(wanted.GetGids())}
	if uid, gid := users.root(); uid < 0 || gid < 0 {
		return nil, fmt.Errorf("user namespace without a mapping of root: %w", errdefs.ErrInvalidArgument)
	}
	return users, nil
}

// Mappings converts from the CRI's form.
func Mappings(list []*runtimev1.IDMapping) []specs.LinuxIDMapping {
	out := make([]specs.LinuxIDMapping, len(list))
	for i, m := range list {
		out[i] = specs.LinuxIDMapping{ContainerID: m.GetContainerId(), HostID: m.GetHostId(), Size: m.GetLength()}
	}
	return out
}

// makeOwned makes a user namespace and the others inside it. What keeps them is bound before their maker ends.
func (n *Namespaces) makeOwned(want Wanted, paths Paths) error {
	kinds := []struct {
		name, path string
		flag       int
	}{{"user", paths.User, 0}, {"net", paths.Network, unix.CLONE_NEWNET}, {"ipc", paths.IPC, unix.CLONE_NEWIPC}, {"uts", paths.UTS, unix.CLONE_NEWUTS}}
	return n.executable.NewUserNamespace(want.Users.UIDs, want.Users.GIDs, uintptr(want.flags()), func(pid int) error {
		for _, kind := range kinds {
			if kind.path == "" {
				continue
			}
			if err := monitor.BindNamespace(pid, kind.name, kind.path); err != nil {
				return err
			}
		}
		return thread.Do(func() error {
			for _, kind := range kinds {
				if kind.path == "" || kind.flag == 0 {
					continue
				}
				if err := join(kind.path, kind.flag); err != nil {
					return fmt.Errorf("enter %s: %w", kind.path, err)
				}
			}
			return want.furnish()
		})
	})
}

package spec

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func process(in *Input, id identity) (*specs.Process, error) {
	args, err := arguments(in)
	if err != nil {
		return nil, err
	}
	cwd := cmp.Or(in.Container.GetWorkingDir(), in.Image.WorkingDir, "/")
	if !path.IsAbs(cwd) {
		return nil, fmt.Errorf("working directory %q is not absolute: %w", cwd, errdefs.ErrInvalidArgument)
	}
	caps, err := capabilities(in.security())
	if err != nil {
		return nil, err
	}
	profile, err := apparmor(in)
	if err != nil {
		return nil, err
	}
	if err := refuseSELinux(in); err != nil {
		return nil, err
	}
	return &specs.Process{
		Terminal:        in.Container.GetTty(),
		User:            specs.User{UID: id.uid, GID: id.gid, AdditionalGids: id.groups},
		Args:            args,
		Env:             environment(in, id),
		Cwd:             cwd,
		Capabilities:    caps,
		NoNewPrivileges: in.security().GetNoNewPrivs(),
		ApparmorProfile: profile,
		OOMScoreAdj:     oomScore(in),
	}, nil
}

// arguments: command replaces the image's entrypoint and drops its cmd; args replace cmd alone.
func arguments(in *Input) ([]string, error) {
	command, args := in.Container.GetCommand(), in.Container.GetArgs()
	if len(command) == 0 {
		command = in.Image.Entrypoint
		if len(args) == 0 {
			args = in.Image.Cmd
		}
	}
	all := slices.Concat(command, args)
	if len(all) == 0 || all[0] == "" {
		return nil, fmt.Errorf("no command specified: neither the container nor its image names a program to run: %w", errdefs.ErrInvalidArgument)
	}
	for _, arg := range all {
		if strings.IndexByte(arg, 0) >= 0 {
			return nil, fmt.Errorf("an argument holds a NUL byte: %w", errdefs.ErrInvalidArgument)
		}
	}
	return all, nil
}

// environment merges, the later winning: defaults, the image's, the container's.
func environment(in *Input, id identity) []string {
	env := []string{defaultPath, "HOSTNAME=" + in.Hostname}
	if in.Container.GetTty() {
		env = append(env, "TERM=xterm")
	}
	for _, pair := range in.Image.Env {
		env = set(env, pair)
	}
	for _, pair := range in.Container.GetEnvs() {
		env = set(env, pair.GetKey()+"="+string(pair.GetValue()))
	}
	if !slices.ContainsFunc(env, func(have string) bool { return strings.HasPrefix(have, "HOME=") }) {
		env = append(env, "HOME="+cmp.Or(id.home, "/"))
	}
	return env
}

func set(env []string, pair string) []string {
	name, _, _ := strings.Cut(pair, "=")
	for i, have := range env {
		if strings.HasPrefix(have, name+"=") {
			env[i] = pair
			return env
		}
	}
	return append(env, pair)
}

func oomScore(in *Input) *int {
	resources := in.Container.GetLinux().GetResources()
	if resources == nil {
		return nil
	}
	score := int(resources.GetOomScoreAdj())
	return &score
}

// namespaces lists what the container does not share with the host.
func namespaces(in *Input) []specs.LinuxNamespace {
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	for _, ns := range []struct {
		kind specs.LinuxNamespaceType
		path string
	}{
		{specs.NetworkNamespace, in.Namespaces.Network},
		{specs.IPCNamespace, in.Namespaces.IPC},
		{specs.UTSNamespace, in.Namespaces.UTS},
		{specs.UserNamespace, in.Namespaces.User},
	} {
		if ns.path != "" {
			list = append(list, specs.LinuxNamespace{Type: ns.kind, Path: ns.path})
		}
	}
	if !in.Namespaces.HostPID {
		list = append(list, specs.LinuxNamespace{Type: specs.PIDNamespace, Path: in.Namespaces.PID})
	}
	if in.CgroupNamespace && !in.privileged() {
		list = append(list, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return list
}

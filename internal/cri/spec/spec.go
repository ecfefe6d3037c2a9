package spec

import (
	"fmt"
	"maps"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Annotations that tell other OCI tools what a container is, under the names containerd made customary.
const (
	annotationType      = "io.kubernetes.cri.container-type"
	annotationName      = "io.kubernetes.cri.container-name"
	annotationSandboxID = "io.kubernetes.cri.sandbox-id"
	annotationPodName   = "io.kubernetes.cri.sandbox-name"
	annotationNamespace = "io.kubernetes.cri.sandbox-namespace"
	annotationPodUID    = "io.kubernetes.cri.sandbox-uid"
)

// Container returns the specification and whom the first process runs as. Errors are of class InvalidArgument when
// the request contradicts itself or the image.
func Container(in Input) (*specs.Spec, *runtimev1.LinuxContainerUser, error) {
	user, err := resolveUser(&in)
	if err != nil {
		return nil, nil, err
	}
	process, err := process(&in, user)
	if err != nil {
		return nil, nil, err
	}
	mounts, err := mounts(&in)
	if err != nil {
		return nil, nil, err
	}
	s := &specs.Spec{
		Version:     specs.Version,
		Process:     process,
		Root:        &specs.Root{Path: "rootfs", Readonly: in.security().GetReadonlyRootfs()},
		Mounts:      mounts,
		Annotations: annotations(&in),
		Linux: &specs.Linux{
			CgroupsPath: in.Cgroup,
			Namespaces:  namespaces(&in),
			Resources:   Resources(in.Container.GetLinux().GetResources()),
			UIDMappings: in.UIDs,
			GIDMappings: in.GIDs,
		},
	}
	if err := devices(&in, s.Linux); err != nil {
		return nil, nil, err
	}
	hidePaths(&in, s.Linux)
	s.Linux.RootfsPropagation = rootPropagation(&in)
	if s.Linux.Seccomp, err = seccompProfile(&in, s); err != nil {
		return nil, nil, err
	}
	return s, user.proto(), nil
}

func annotations(in *Input) map[string]string {
	meta := in.Sandbox.GetMetadata()
	all := map[string]string{
		annotationType:      "container",
		annotationName:      in.Container.GetMetadata().GetName(),
		annotationSandboxID: in.SandboxID,
		annotationPodName:   meta.GetName(),
		annotationNamespace: meta.GetNamespace(),
		annotationPodUID:    meta.GetUid(),
	}
	maps.Copy(all, in.Container.GetAnnotations())
	return all
}

// seccompProfile must come after the capabilities: the default profile opens the calls that a granted capability is for.
// A client that sends no profile wants none, as critest has it and as containerd does.
func seccompProfile(in *Input, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	profile := in.security().GetSeccomp()
	if in.privileged() || profile == nil {
		return nil, nil
	}
	switch profile.GetProfileType() {
	case runtimev1.SecurityProfile_Unconfined:
		return nil, nil
	case runtimev1.SecurityProfile_Localhost:
		return localSeccomp(profile.GetLocalhostRef())
	case runtimev1.SecurityProfile_RuntimeDefault:
		return seccomp.DefaultProfile(s), nil
	}
	return nil, fmt.Errorf("seccomp profile type %v: %w", profile.GetProfileType(), errUnknown)
}

package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// apparmor returns the name of the container's profile. Who asks for nothing gets the runtime's, unless privileged. A
// profile that the kernel would not know is refused here, where the client can still tell a person why.
func apparmor(in *Input) (string, error) {
	name, named := localProfile(in.security())
	switch {
	case !named && (in.privileged() || unconfined(in.security())):
		return "", nil
	case !named:
		return in.AppArmorDefault, nil
	case name == "":
		return "", fmt.Errorf("AppArmor profile without a name: %w", errdefs.ErrInvalidArgument)
	case in.AppArmorProfiles == nil:
		return "", fmt.Errorf("AppArmor profile %q: this machine's kernel has no AppArmor: %w", name, errdefs.ErrFailedPrecondition)
	}
	loaded, err := in.AppArmorProfiles()
	if err != nil {
		return "", fmt.Errorf("AppArmor profile %q: %w", name, err)
	}
	if !slices.Contains(loaded, name) {
		return "", fmt.Errorf("AppArmor profile %q is not loaded on this machine: %w", name, errdefs.ErrFailedPrecondition)
	}
	return name, nil
}

// localProfile reads the field of today, or the one before it, a string, from clients that set that alone.
func localProfile(sc *runtimev1.LinuxContainerSecurityContext) (name string, named bool) {
	const local = "localhost/"
	if profile := sc.GetApparmor(); profile != nil {
		return strings.TrimPrefix(profile.GetLocalhostRef(), local), profile.GetProfileType() == runtimev1.SecurityProfile_Localhost
	}
	return strings.CutPrefix(sc.GetApparmorProfile(), local) //nolint:staticcheck // deprecated, and still sent
}

// unconfined says that no profile is wanted.
func unconfined(sc *runtimev1.LinuxContainerSecurityContext) bool {
	if profile := sc.GetApparmor(); profile != nil {
		return profile.GetProfileType() == runtimev1.SecurityProfile_Unconfined
	}
	return sc.GetApparmorProfile() == "unconfined" //nolint:staticcheck // deprecated, and still sent
}

// refuseSELinux refuses labels rather than run a container without those that it should have: mounts get none here.
func refuseSELinux(in *Input) error {
	o := in.security().GetSelinuxOptions()
	if o.GetUser() == "" && o.GetRole() == "" && o.GetType() == "" && o.GetLevel() == "" {
		return nil
	}
	why := "this machine's kernel has no SELinux"
	if in.SELinux {
		why = "this runtime does not label the files of a container"
	}
	return fmt.Errorf("SELinux label %q: %s: %w", strings.Join([]string{o.GetUser(), o.GetRole(), o.GetType(), o.GetLevel()}, ":"), why, errdefs.ErrFailedPrecondition)
}

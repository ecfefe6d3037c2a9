package security

import (
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// HasSELinux tells whether the kernel of this host has SELinux. Where it has not, labels are left out and the Pod runs, as
// on any node without it; Kubernetes' conformance suite asks for that.
var HasSELinux = sync.OnceValue(func() bool {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	return err == nil
})

func selinux(o *corev1.SELinuxOptions) *runtimev1.SELinuxOption {
	if o == nil || !HasSELinux() {
		return nil
	}
	return &runtimev1.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

package security

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func ptr[T any](v T) *T { return &v }

func TestVerifyNonRoot(t *testing.T) {
	yes := &corev1.SecurityContext{RunAsNonRoot: ptr(true)}
	for name, c := range map[string]struct {
		pod  *corev1.PodSecurityContext
		own  *corev1.SecurityContext
		uid  *int64
		user string
		err  string
	}{
		"not asked":          {uid: ptr(int64(0))},
		"numeric image user": {own: yes, uid: ptr(int64(5))},
		"root image":         {own: yes, uid: ptr(int64(0)), err: "image will run as root"},
		"no image user":      {own: yes, err: "image will run as root"},
		"named image user":   {own: yes, user: "joe", err: "non-numeric user (joe)"},
		"own user":           {own: &corev1.SecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(7))}, uid: ptr(int64(0))},
		"own root":           {own: &corev1.SecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(0))}, err: "breaks non-root policy"},
		"pod's user":         {pod: &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(7))}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: c.pod}}
			err := VerifyNonRoot(pod, &corev1.Container{SecurityContext: c.own}, c.uid, c.user)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestContainer(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
		RunAsUser: ptr(int64(1)), RunAsGroup: ptr(int64(2)), FSGroup: ptr(int64(3)), SupplementalGroups: []int64{3, 4},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
	}}}
	c := &corev1.Container{SecurityContext: &corev1.SecurityContext{
		RunAsUser: ptr(int64(9)), AllowPrivilegeEscalation: ptr(false), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}},
	}}
	out := Container(pod, c, Namespaces(pod, nil), nil)
	if out.GetRunAsUser().GetValue() != 9 || out.GetRunAsGroup().GetValue() != 2 || !out.GetNoNewPrivs() || len(out.GetSupplementalGroups()) != 2 {
		t.Errorf("%v", out)
	}
	if out.GetSeccomp().GetProfileType() != runtimev1.SecurityProfile_Unconfined || out.GetCapabilities().GetAddCapabilities()[0] != "NET_ADMIN" {
		t.Errorf("%v", out)
	}
	plain := Container(&corev1.Pod{}, &corev1.Container{}, nil, nil)
	if plain.GetSeccomp().GetProfileType() != runtimev1.SecurityProfile_RuntimeDefault || len(plain.GetMaskedPaths()) == 0 || plain.GetNoNewPrivs() {
		t.Errorf("%v", plain)
	}
	unmasked := Container(&corev1.Pod{}, &corev1.Container{SecurityContext: &corev1.SecurityContext{ProcMount: ptr(corev1.UnmaskedProcMount)}}, nil, nil)
	if len(unmasked.GetMaskedPaths()) != 0 {
		t.Errorf("%v", unmasked)
	}
}

func TestTarget(t *testing.T) {
	for name, c := range map[string]struct {
		spec corev1.PodSpec
		mode runtimev1.NamespaceMode
	}{
		"own namespaces": {corev1.PodSpec{}, runtimev1.NamespaceMode_TARGET},
		"shared":         {corev1.PodSpec{ShareProcessNamespace: ptr(true)}, runtimev1.NamespaceMode_POD},
		"host":           {corev1.PodSpec{HostPID: true}, runtimev1.NamespaceMode_NODE},
	} {
		if got := Target(&corev1.Pod{Spec: c.spec}, nil, "id").GetPid(); got != c.mode {
			t.Errorf("%s: %s, want %s", name, got, c.mode)
		}
	}
}

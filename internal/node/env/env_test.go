package env

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func lookup(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func TestExpand(t *testing.T) {
	vars := lookup(map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""})
	for in, want := range map[string]string{
		"plain":       "plain",
		"$(A)":        "1",
		"x$(A)y$(A)z": "x1y1z",
		"$(B)":        "$(A)",
		"$(EMPTY)":    "",
		"$(NONE)":     "$(NONE)",
		"$$(A)":       "$(A)",
		"$$$(A)":      "$1",
		"$":           "$",
		"$A":          "$A",
		"$(A":         "$(A",
		"$()":         "$()",
		"a$$":         "a$",
		"":            "",
	} {
		if got := Expand(in, vars); got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "$(A)", "$$", "$($(A))", "$(", "a$b$(c)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := Expand(s, lookup(nil)); !strings.Contains(s, "$$") && got != s {
			t.Errorf("without variables, %q became %q", s, got)
		}
		empty := Expand(s, func(string) (string, bool) { return "", true })
		if len(empty) > len(s) {
			t.Errorf("empty variables made %q longer: %q", s, empty)
		}
	})
}

type source struct{}

func (source) ConfigMap(_ context.Context, _, name string) (*corev1.ConfigMap, error) {
	if name != "cm" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, name)
	}
	return &corev1.ConfigMap{Data: map[string]string{"k1": "v1", "k2": "v2"}}, nil
}

func (source) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	if name != "s" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
	}
	return &corev1.Secret{Data: map[string][]byte{"password": []byte("hush")}}, nil
}

func (source) VolumeFile(_ *corev1.Pod, _, path string) ([]byte, error) {
	return []byte("# comment\nX='a\nb'\nY=''\n"), nil
}

func TestAPI(t *testing.T) {
	for name, c := range map[string]struct {
		address     string
		hostNetwork bool
		host        string
	}{
		"loopback":          {address: "127.0.0.1:6443"},
		"host's loopback":   {address: "127.0.0.1:6443", hostNetwork: true, host: "127.0.0.1"},
		"one address":       {address: "192.0.2.7:6443", host: "192.0.2.7"},
		"every address":     {address: "0.0.0.0:6443", host: "192.0.2.2"},
		"every one of IPv6": {address: "[::]:6443", host: "192.0.2.2"},
	} {
		vars := API(netip.MustParseAddrPort(c.address), "192.0.2.2", c.hostNetwork)
		if vars["KUBERNETES_SERVICE_HOST"] != c.host || (vars["KUBERNETES_SERVICE_PORT"] == "6443") != (c.host != "") {
			t.Errorf("%s: %v", name, vars)
		}
	}
	if vars := API(netip.AddrPort{}, "192.0.2.2", true); vars != nil {
		t.Errorf("unknown: %v", vars)
	}
}

func TestBuild(t *testing.T) {
	yes := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", Labels: map[string]string{"a/b": "c"}},
		Spec:       corev1.PodSpec{NodeName: "node", ServiceAccountName: "sa"},
	}
	container := corev1.Container{
		Name: "c",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("1500m")},
			Limits:   corev1.ResourceList{"memory": resource.MustParse("100Mi")},
		},
	}
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	amount := func(name, divisor string) *corev1.EnvVarSource {
		ref := &corev1.ResourceFieldSelector{Resource: name}
		if divisor != "" {
			ref.Divisor = resource.MustParse(divisor)
		}
		return &corev1.EnvVarSource{ResourceFieldRef: ref}
	}
	for name, c := range map[string]struct {
		from []corev1.EnvFromSource
		own  *corev1.ResourceRequirements // of the Pod
		env  []corev1.EnvVar
		want map[string]string
		err  string
	}{
		"values see earlier ones only": {
			env:  []corev1.EnvVar{{Name: "A", Value: "$(B)"}, {Name: "B", Value: "1"}, {Name: "C", Value: "$(B)2"}},
			want: map[string]string{"A": "$(B)", "B": "1", "C": "12"},
		},
		"env wins over envFrom, prefix": {
			from: []corev1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}},
			env:  []corev1.EnvVar{{Name: "P_k1", Value: "own"}, {Name: "X", Value: "$(P_k2)"}},
			want: map[string]string{"P_k1": "own", "P_k2": "v2", "X": "v2"},
		},
		"fields": {
			env:  []corev1.EnvVar{{Name: "A", ValueFrom: field("metadata.labels['a/b']")}, {Name: "B", ValueFrom: field("status.podIPs")}, {Name: "C", ValueFrom: field("spec.nodeName")}},
			want: map[string]string{"A": "c", "B": "1.1.1.1,::1", "C": "node"},
		},
		"resources are rounded up": {
			env:  []corev1.EnvVar{{Name: "A", ValueFrom: amount("requests.cpu", "")}, {Name: "B", ValueFrom: amount("requests.cpu", "1m")}, {Name: "C", ValueFrom: amount("limits.memory", "1Mi")}, {Name: "D", ValueFrom: amount("limits.cpu", "")}},
			want: map[string]string{"A": "2", "B": "1500", "C": "100", "D": "8"},
		},
		"limits that are the Pod's": {
			own:  &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("3"), "memory": resource.MustParse("200Mi")}},
			env:  []corev1.EnvVar{{Name: "A", ValueFrom: amount("limits.cpu", "")}, {Name: "B", ValueFrom: amount("limits.memory", "1Mi")}, {Name: "C", ValueFrom: amount("limits.ephemeral-storage", "1Mi")}},
			want: map[string]string{"A": "3", "B": "100", "C": "7"},
		},
		"keys": {
			env: []corev1.EnvVar{
				{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "password"}}},
				{Name: "B", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "x", Optional: &yes}}},
				{Name: "C", ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "f", Key: "X"}}},
			},
			want: map[string]string{"A": "hush", "C": "a\nb"},
		},
		"missing object": {
			env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "x"}}}},
			err: `secrets "none" not found`,
		},
		"missing key": {
			env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "x"}}}},
			err: "couldn't find key x in Secret n/s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			own := container
			own.EnvFrom, own.Env = c.from, c.env
			pod := pod.DeepCopy()
			pod.Spec.Containers, pod.Spec.Resources = []corev1.Container{own}, c.own
			vars, err := Build(t.Context(), source{}, Input{
				Pod: pod, Container: &own, Addresses: Addresses{PodIPs: []string{"1.1.1.1", "::1"}},
				Allocatable: corev1.ResourceList{"cpu": resource.MustParse("8"), "ephemeral-storage": resource.MustParse("7Mi")},
			})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, p := range vars.Pairs() {
				got[p.GetKey()] = string(p.GetValue())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add("A='b'\n#x\n\nC='d\ne'")
	f.Add("A=b")
	f.Fuzz(func(t *testing.T, s string) {
		vars, err := ParseFile(s)
		if err != nil && vars != nil {
			t.Error("both a result and an error")
		}
	})
}

package image

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestKeyring(t *testing.T) {
	var ring Keyring
	auth := base64.StdEncoding.EncodeToString([]byte("hub:pw"))
	secret := &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{
		"https://index.docker.io/v1/":{"auth":"` + auth + `"},
		"r.example:5000":{"username":"all","password":"p"},
		"r.example:5000/team":{"username":"team","password":"p"},
		"*.wild.example":{"username":"wild","password":"p"}}}`)}}
	if err := ring.AddSecret(secret); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string][]string{
		"busybox":                   {"hub"},
		"docker.io/x/y":             {"hub"},
		"r.example:5000/a":          {"all"},
		"r.example:5000/team/a:1":   {"team", "all"},
		"r.example:5000/teamwork/a": {"all"},
		"a.wild.example/x":          {"wild"},
		"a.b.wild.example/x":        nil,
		"other.example/x":           nil,
		"::":                        nil,
	} {
		var got []string
		for _, a := range ring.Lookup(image) {
			got = append(got, a.GetUsername())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", image, diff)
		}
	}
	broken := &corev1.Secret{Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{corev1.DockerConfigKey: []byte("{")}}
	if err := ring.AddSecret(broken); err == nil {
		t.Error("a broken secret was taken")
	}
}

// fakeService has images by name and pulls with one password.
type fakeService struct {
	present map[string]bool
	user    string
	pulls   []string
	err     error
}

func (f *fakeService) ImageStatus(_ context.Context, spec *runtimev1.ImageSpec) (*runtimev1.Image, error) {
	if f.present[spec.GetImage()] {
		return &runtimev1.Image{Id: spec.GetImage()}, nil
	}
	return nil, nil
}

func (f *fakeService) PullImage(_ context.Context, spec *runtimev1.ImageSpec, auth *runtimev1.AuthConfig, _ *runtimev1.PodSandboxConfig) (string, error) {
	f.pulls = append(f.pulls, spec.GetImage()+" "+auth.GetUsername())
	if f.err != nil || auth.GetUsername() != f.user {
		return "", errors.Join(f.err, errors.New("denied"))
	}
	f.present[spec.GetImage()] = true
	return spec.GetImage(), nil
}

func request(image string, policy corev1.PullPolicy, users ...string) Request {
	return Request{
		Pod: &corev1.Pod{}, Image: image, Policy: policy,
		Auth: func(context.Context, string) ([]*runtimev1.AuthConfig, error) {
			var out []*runtimev1.AuthConfig
			for _, u := range users {
				out = append(out, &runtimev1.AuthConfig{Username: u})
			}
			return out, nil
		},
		Event: func(string, string, string, ...any) {},
	}
}

func TestEnsure(t *testing.T) {
	for name, c := range map[string]struct {
		Request
		user   string
		reason string
		pulls  []string
	}{
		"present":                 {Request: request("here", corev1.PullIfNotPresent)},
		"present, always":         {Request: request("here", corev1.PullAlways), pulls: []string{"here:latest "}},
		"absent":                  {Request: request("there:1", corev1.PullIfNotPresent), pulls: []string{"there:1 "}},
		"absent, never":           {Request: request("there", corev1.PullNever), reason: ReasonNever},
		"second credential":       {Request: request("there", corev1.PullAlways, "a", "b"), user: "b", pulls: []string{"there:latest a", "there:latest b"}},
		"no credential":           {Request: request("there", corev1.PullAlways, "a"), user: "b", reason: ReasonPull, pulls: []string{"there:latest a"}},
		"not a name":              {Request: request("UPPER", corev1.PullAlways), reason: ReasonBadName},
		"digest stays as written": {Request: request("x@sha256:"+strings.Repeat("a", 64), corev1.PullAlways), pulls: []string{"x@sha256:" + strings.Repeat("a", 64) + " "}},
	} {
		t.Run(name, func(t *testing.T) {
			service := &fakeService{present: map[string]bool{"here:latest": true}, user: c.user}
			_, err := New(service).Ensure(t.Context(), c.Request)
			var f *Failure
			if errors.As(err, &f) != (c.reason != "") || f != nil && f.Reason != c.reason {
				t.Errorf("error %v, want reason %q", err, c.reason)
			}
			if diff := cmp.Diff(c.pulls, service.pulls); diff != "" {
				t.Errorf("pulls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPullBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &fakeService{present: map[string]bool{}, err: errors.New("down")}
		p := New(service)
		for _, pause := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
			_, err := p.Ensure(t.Context(), request("x", corev1.PullAlways))
			var f *Failure
			if !errors.As(err, &f) || f.Reason != ReasonPull {
				t.Fatalf("got %v", err)
			}
			time.Sleep(pause*time.Second - time.Millisecond)
			if _, err := p.Ensure(t.Context(), request("x", corev1.PullAlways)); !errors.As(err, &f) || f.Reason != ReasonBackOff {
				t.Fatalf("within %d s: %v", pause, err)
			}
			if want := `Back-off pulling image "x": ErrImagePull: down`; !strings.HasPrefix(f.Message, want) {
				t.Errorf("the reason is %q, want %q", f.Message, want)
			}
			time.Sleep(time.Millisecond)
		}
		p.Forget("")
		if _, err := p.Ensure(t.Context(), request("x", corev1.PullAlways)); !strings.Contains(err.Error(), ReasonPull+":") {
			t.Errorf("a new Pod of that UID begins with %v", err)
		}
	})
}

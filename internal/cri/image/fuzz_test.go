package image

import (
	"bytes"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestNormalize(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for ref, want := range map[string]string{
		"busybox":                          "docker.io/library/busybox:latest",
		"busybox:1.36":                     "docker.io/library/busybox:1.36",
		"team/app":                         "docker.io/team/app:latest",
		"localhost/app":                    "localhost/app:latest",
		"localhost:5000/app":               "localhost:5000/app:latest",
		"127.0.0.1:5000/team/app:v1":       "127.0.0.1:5000/team/app:v1",
		"quay.io/app@" + digest:            "quay.io/app@" + digest,
		"quay.io/app:v1@" + digest:         "quay.io/app@" + digest,
		"index.docker.io/library/busybox":  "docker.io/library/busybox:latest",
		"":                                 "",
		" busybox":                         "",
		"UPPER":                            "",
		"app:":                             "",
		"app@sha256:short":                 "",
		strings.Repeat("a/", 600) + "b":    "",
		strings.Repeat("a", 64):            "", // would read as an image ID
		"registry.example.com:99999x/what": "",
	} {
		got, err := Normalize(ref)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%.80q: %q, %v, want %q", ref, got, err, want)
		}
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%.80q: %v is not an invalid argument", ref, err)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"busybox", "localhost:5000/a/b:c", "a@sha256:" + strings.Repeat("0", 64), "A", "", ":", "a:b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		name, err := Normalize(ref)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%q: %v is not an invalid argument", ref, err)
			}
			return
		}
		if again, err := Normalize(name); err != nil || again != name {
			t.Errorf("%q became %q, and that %q, %v", ref, name, again, err)
		}
		if short, err := Normalize(Familiar(name)); err != nil || short != name {
			t.Errorf("%q shortens to %q, which means %q, %v", name, Familiar(name), short, err)
		}
	})
}

func FuzzImport(f *testing.F) {
	archive := saved(f, small(f, "fuzz"), "fuzz:v1")
	f.Add(archive)
	f.Add(archive[:len(archive)/3])
	f.Add([]byte("no archive"))
	s := newStore(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := s.Import(t.Context(), bytes.NewReader(data), ImportOptions{})
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%v is not an invalid argument", err)
			}
			return
		}
		for _, i := range list {
			if _, err := s.Get(t.Context(), i.ID); err != nil {
				t.Errorf("imported %s, but %v", i.ID, err)
			}
		}
	})
}

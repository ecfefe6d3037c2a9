package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// serve starts a registry of images on loopback.
func serve(built map[string]v1.Image) (*httptest.Server, error) {
	registry := httptest.NewServer(server.New(server.Logger(log.New(io.Discard, "", 0))))
	for reference, image := range built {
		tag, err := name.NewTag(strings.TrimPrefix(registry.URL, "http://")+"/"+reference, name.Insecure)
		if err == nil {
			err = remote.Write(tag, image)
		}
		if err != nil {
			registry.Close()
			return nil, fmt.Errorf("push %s: %w", reference, err)
		}
	}
	return registry, nil
}

// redirect writes configuration by which the registry stands for those that the suite names.
func redirect(dir, url string) error {
	for _, host := range []string{"registry.k8s.io", "gcr.io", "k8s.gcr.io"} {
		path := filepath.Join(dir, host)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		content := fmt.Sprintf("server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url, url)
		if err := os.WriteFile(filepath.Join(path, "hosts.toml"), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// adopt copies the suite to a program that names one of our images in the place of the one that it names by digest.
func adopt(suite, into string, ours v1.Image) error {
	digest, err := ours.Digest()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(suite)
	if err != nil {
		return err
	}
	if n := bytes.Count(program, []byte(suiteDigest)); n != 1 {
		return fmt.Errorf("%s has the digest %s %d times, not once: has the suite another by now?", suite, suiteDigest, n)
	}
	return os.WriteFile(into, bytes.Replace(program, []byte(suiteDigest), []byte(digest.Hex), 1), 0o755)
}

package main

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// serve starts a registry of the suite's images on loopback.
func serve(busybox, guest string) (*httptest.Server, error) {
	built, err := images(busybox, guest)
	if err != nil {
		return nil, err
	}
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

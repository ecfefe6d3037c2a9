package suite

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
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Serve starts a registry of images on loopback.
func Serve(built map[string]v1.Image) (*httptest.Server, error) {
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

// Redirect writes configuration by which the registry at url stands for those of the hosts.
func Redirect(dir, url string, hosts ...string) error {
	for _, host := range hosts {
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

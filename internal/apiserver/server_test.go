package apiserver

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/pki"
)

// instance is a server that a test started.
type instance struct {
	*Server
	URL   string
	Files pki.Files
	Dir   string
	stop  context.CancelFunc
	done  chan error
}

// start runs a server on a fresh directory until the test ends.
func start(t testing.TB) *instance {
	t.Helper()
	i := launch(t, t.TempDir(), nil)
	t.Cleanup(i.Stop)
	return i
}

func launch(t testing.TB, dir string, node NodeGetter) *instance {
	t.Helper()
	return launchWith(t, dir, func(c *Config) { c.Node = node })
}

// launchWith runs a server on dir whose configuration change has the last word on.
func launchWith(t testing.TB, dir string, change func(*Config)) *instance {
	t.Helper()
	cfg, files := configure(t, dir)
	change(&cfg)
	s, err := New(t.Context(), cfg)
	if err != nil {
		cfg.Listener.Close()
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{Server: s, URL: "https://" + cfg.Listener.Addr().String(), Files: files, Dir: dir, stop: cancel, done: make(chan error, 1)}
	go func() { i.done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-i.done:
		t.Fatalf("server ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("server is not ready")
	}
	return i
}

// configure is the configuration of a server on dir.
func configure(t testing.TB, dir string) (Config, pki.Files) {
	t.Helper()
	files, err := pki.Ensure(filepath.Join(dir, "pki"), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		DataDir: dir, Listener: listener,
		ServingCertFile: files.ServingCert, ServingKeyFile: files.ServingKey, ClientCAFile: files.CACert,
		ServiceAccountKeyFile: files.ServiceAccountKey, ServiceAccountIssuer: "https://kubernetes.default.svc.cluster.local",
	}, files
}

// startError is the error of a server that must not start.
func startError(t testing.TB, change func(*Config)) error {
	t.Helper()
	cfg, _ := configure(t, t.TempDir())
	defer cfg.Listener.Close()
	change(&cfg)
	s, err := New(t.Context(), cfg)
	if err == nil {
		t.Fatal("the server starts", s.close())
	}
	return err
}

// Stop ends the server and waits for it.
func (i *instance) Stop() {
	i.stop()
	<-i.done
	i.done <- nil
}

// Admin is a client over TLS with the administrator's certificate.
func (i *instance) Admin() *rest.Config {
	return &rest.Config{Host: i.URL, QPS: -1, TLSClientConfig: rest.TLSClientConfig{
		CAFile: i.Files.CACert, CertFile: i.Files.AdminCert, KeyFile: i.Files.AdminKey,
	}}
}

func clientset(t testing.TB, c *rest.Config) *kubernetes.Clientset {
	t.Helper()
	set, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestServesOverTLS(t *testing.T) {
	i := start(t)
	list, err := clientset(t, i.Admin()).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 4 {
		t.Errorf("namespaces: %d", len(list.Items))
	}
}

// eventually waits until the condition holds: caches follow what is written.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

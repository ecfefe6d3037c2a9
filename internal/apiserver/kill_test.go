package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/pki"
)

const (
	// serveEnv makes this test binary a server on that directory, which a test can kill.
	serveEnv = "MAYFLY_TEST_SERVE"
	// killsEnv is how often TestKilledServerLosesNothing kills; more than by default on demand.
	killsEnv     = "MAYFLY_TEST_KILLS"
	defaultKills = 20
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		fmt.Fprintln(os.Stderr, serveForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveForever says its address on standard output when it is ready.
func serveForever(dir string) error {
	files, err := pki.Ensure(filepath.Join(dir, "pki"), []string{"127.0.0.1"})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := New(context.Background(), Config{
		DataDir: dir, Listener: listener,
		ServingCertFile: files.ServingCert, ServingKeyFile: files.ServingKey, ClientCAFile: files.CACert,
	})
	if err != nil {
		return err
	}
	go func() {
		<-s.Ready()
		fmt.Println("https://" + listener.Addr().String())
	}()
	return s.Run(context.Background())
}

// victim is a server in a process of its own.
type victim struct {
	cmd *exec.Cmd
	set *kubernetes.Clientset
}

func spawn(t *testing.T, dir string) victim {
	t.Helper()
	files, err := pki.Ensure(filepath.Join(dir, "pki"), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := victim{cmd: cmd}
	t.Cleanup(v.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("server does not come up: %v", err)
	}
	v.set = clientset(t, &rest.Config{Host: strings.TrimSpace(line), QPS: -1, Timeout: 5 * time.Second, TLSClientConfig: rest.TLSClientConfig{
		CAFile: files.CACert, CertFile: files.AdminCert, KeyFile: files.AdminKey,
	}})
	return v
}

// kill may be called twice; errors say only that the process has gone already.
func (v victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killsEnv)
	if text == "" {
		return defaultKills
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKilledServerLosesNothing kills a server during writes, again and again: what it acknowledged is there at the
// next start, and resource versions never go back.
func TestKilledServerLosesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acked := map[string]bool{}
	var newest int
	for round := range kills(t) {
		v := spawn(t, dir)
		newest = survey(t, v, acked, newest)
		maps := v.set.CoreV1().ConfigMaps("default")
		writers := []*writer{}
		for n := range 4 {
			writers = append(writers, write(t, maps, fmt.Sprintf("r%d-w%d", round, n)))
		}
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		v.kill()
		for _, w := range writers {
			for _, name := range w.end() {
				acked[name] = true
			}
		}
		if t.Failed() {
			t.Fatalf("round %d, seed %d", round, seed)
		}
	}
	survey(t, spawn(t, dir), acked, newest)
	if len(acked) == 0 {
		t.Error("nothing was written")
	}
}

// survey checks what a server finds against what was acknowledged, and returns the list's resource version.
func survey(t *testing.T, v victim, acked map[string]bool, newest int) int {
	t.Helper()
	list, err := v.set.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, m := range list.Items {
		have[m.Name] = true
	}
	for name := range acked {
		if !have[name] {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
	version, err := strconv.Atoi(list.ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	if version < newest {
		t.Errorf("resource version went back from %d to %d", newest, version)
	}
	return version
}

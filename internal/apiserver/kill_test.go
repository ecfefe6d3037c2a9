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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/pki"
	"github.com/mayfly-run/mayfly/test/setting"
)

const (
	// serveEnv makes this test binary a server on that directory, which a test can kill.
	serveEnv = "MAYFLY_TEST_SERVE"
	// killsEnv is how often TestKilledServerLosesNothing kills; more than by default on demand.
	killsEnv     = "MAYFLY_TEST_KILLS"
	defaultKills = 200
	// lanes are servers that are killed side by side: most of a start is waiting for the disk.
	lanes = 2
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
	v.set = clientset(t, &rest.Config{
		Host: strings.TrimSpace(line), QPS: -1,
		ContentConfig:   rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf, AcceptContentTypes: runtime.ContentTypeProtobuf},
		TLSClientConfig: rest.TLSClientConfig{CAFile: files.CACert, CertFile: files.AdminCert, KeyFile: files.AdminKey},
	})
	return v
}

// kill may be called twice; errors say only that the process has gone already.
func (v victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

// TestKilledServerLosesNothing kills servers during writes, again and again: what one acknowledged, or showed to a
// watch, is there at the next start, and resource versions never go back.
func TestKilledServerLosesNothing(t *testing.T) {
	for lane := range lanes {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			life := &life{t: t, dir: t.TempDir(), known: map[string]bool{}}
			seed := uint64(time.Now().UnixNano())
			random := rand.New(rand.NewPCG(seed, 0))
			for round := range setting.Number(t, killsEnv, defaultKills) / lanes {
				life.round(round, time.Duration(random.IntN(100))*time.Millisecond)
				if t.Failed() {
					t.Fatalf("round %d, seed %d", round, seed)
				}
			}
			v := spawn(t, life.dir)
			life.survey(v)
			if len(life.known) == 0 {
				t.Error("nothing was written")
			}
		})
	}
}

// life is that of a server that dies many times.
type life struct {
	t     *testing.T
	dir   string
	known map[string]bool // what clients know to be stored
	// newest is the highest resource version that a client has seen; seen is the last one of a watch.
	newest, seen int
}

// round starts the server, writes and watches for as long as it is let live, and notes what clients saw of it.
func (l *life) round(n int, live time.Duration) {
	v := spawn(l.t, l.dir)
	l.survey(v)
	maps := v.set.CoreV1().ConfigMaps("default")
	watch := l.watch(maps)
	writers := []*writer{}
	for w := range 4 {
		writers = append(writers, write(l.t, maps, fmt.Sprintf("r%d-w%d", n, w)))
	}
	time.Sleep(live) // the moment of death is the test's input
	v.kill()
	<-watch
	for _, w := range writers {
		for _, name := range w.end() {
			l.known[name] = true
		}
	}
}

// watch goes on where the watch of the server's last life ended, until this life does: that the server still has, or
// has not, what is between is its business, but it never shows what was before. The channel is closed at the end.
func (l *life) watch(maps corev1client.ConfigMapInterface) <-chan struct{} {
	l.t.Helper()
	done := make(chan struct{})
	w, err := maps.Watch(l.t.Context(), metav1.ListOptions{ResourceVersion: strconv.Itoa(l.seen)})
	if apierrors.IsResourceExpired(err) {
		w, err = maps.Watch(l.t.Context(), metav1.ListOptions{ResourceVersion: strconv.Itoa(l.newest)})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		defer close(done)
		for e := range w.ResultChan() {
			m, ok := e.Object.(*corev1.ConfigMap)
			if !ok {
				continue // the watch's end
			}
			version := l.version(m.ResourceVersion)
			if version <= l.seen {
				l.t.Errorf("the watch went back from %d to %d", l.seen, version)
			}
			l.seen, l.newest, l.known[m.Name] = version, max(l.newest, version), true
		}
	}()
	return done
}

func (l *life) version(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		l.t.Errorf("resource version: %v", err)
	}
	return n
}

// survey checks what the server finds against what clients know.
func (l *life) survey(v victim) {
	l.t.Helper()
	list, err := v.set.CoreV1().ConfigMaps("default").List(l.t.Context(), metav1.ListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	have := map[string]bool{}
	for _, m := range list.Items {
		have[m.Name] = true
	}
	for name := range l.known {
		if !have[name] {
			l.t.Errorf("%s was stored and is gone", name)
		}
	}
	version := l.version(list.ResourceVersion)
	if version < l.newest {
		l.t.Errorf("resource version went back from %d to %d", l.newest, version)
	}
	if l.newest = version; l.seen == 0 {
		l.seen = version
	}
}

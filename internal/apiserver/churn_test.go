package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// churnEnv is how long TestAbortedRequestsLeaveNothing goes on, "10m" say; longer than by default on demand.
	churnEnv     = "MAYFLY_TEST_CHURN"
	defaultChurn = 8 * time.Second
	churners     = 50
)

// aborted is a kind of request that is broken off at a random moment.
type aborted struct{ method, path, ctype, body string }

func abortedRequests() []aborted {
	const maps = "/api/v1/namespaces/default/configmaps"
	const exec = "/api/v1/namespaces/default/pods/p/exec?container=dbg&command=a&stdin=true&stdout=true"
	return []aborted{
		{http.MethodGet, maps + "?watch=true", "", ""},
		{http.MethodGet, maps + "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", "", ""},
		{http.MethodGet, "/api/v1/pods?watch=true&resourceVersion=0", "", ""},
		{http.MethodGet, maps, "", ""},
		{http.MethodGet, "/api/v1/namespaces/default/pods/p/log?container=dbg&follow=true", "", ""},
		{http.MethodPost, maps, "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"generateName":"x"}`}, // an end is missing
		{http.MethodPatch, maps + "/churned", "application/merge-patch+json", `{"data":{"a":"%d"}}`},
		{http.MethodDelete, maps + "/none", "", ""},
		{http.MethodPost, exec, "", ""},
		{http.MethodGet, "/metrics", "", ""},
		{http.MethodGet, "/openapi/v3/api/v1", "", ""},
	}
}

// churner is a client that has connections of its own and breaks them off.
type churner struct {
	http.Client
	mu     sync.Mutex
	conns  []net.Conn
	broken bool
}

// newChurner speaks HTTP 2, or 1.1, which streams are asked for with.
func newChurner(identity *tls.Config, random *rand.Rand) *churner {
	c := &churner{}
	own := identity.Clone()
	own.NextProtos = [][]string{{"h2", "http/1.1"}, {"http/1.1"}}[random.IntN(2)]
	c.Transport = &http.Transport{TLSClientConfig: own, ForceAttemptHTTP2: len(own.NextProtos) > 1, DialContext: c.dial}
	return c
}

func (c *churner) dial(ctx context.Context, network, address string) (net.Conn, error) {
	// A dial goes on after its request: no longer than the test waits for what ends.
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.broken { // a dial may outlive the request that it was for
		conn.Close()
	}
	c.conns = append(c.conns, conn)
	return conn, err
}

func (c *churner) breakOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.broken = true; len(c.conns) > 0; c.conns = c.conns[1:] {
		if c.conns[0] != nil {
			c.conns[0].Close()
		}
	}
}

// churn sends requests and aborts them, or their whole connection, until ctx ends.
func churn(ctx context.Context, identity *tls.Config, url string, random *rand.Rand) {
	for ctx.Err() == nil {
		c := newChurner(identity, random)
		all := abortedRequests()
		for range random.IntN(20) {
			abort(ctx, &c.Client, url, all[random.IntN(len(all))], random)
		}
		c.breakOff()
	}
}

func abort(ctx context.Context, client *http.Client, url string, a aborted, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(100_000))*time.Microsecond)
	defer cancel()
	var body io.Reader = strings.NewReader(strings.ReplaceAll(a.body, "%d", fmt.Sprint(random.IntN(1000))))
	if random.IntN(3) == 0 && a.body != "" {
		endless, w := io.Pipe()
		context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
		body = io.MultiReader(strings.NewReader(a.body[:len(a.body)/2]), endless)
	}
	r, err := http.NewRequestWithContext(ctx, a.method, url+a.path, body)
	if err != nil {
		return
	}
	if r.Header.Set("Content-Type", a.ctype); strings.Contains(a.path, "/exec") {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "SPDY/3.1")
	}
	resp, err := client.Do(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, random.Int64N(1<<16))
}

// load is what a process has.
type load struct {
	goroutines int
	heap       uint64
}

// most is what a process with that load before may have after, when nothing grows.
func (l load) most() load { return load{l.goroutines + churners/2, l.heap*3/2 + 10<<20} }

// settled is the load once all that ends has ended: no more than most, unless that never goes. A timer that was stopped
// may hold what it was for until its time comes, and that of a connection's idleness is a minute and a half.
func settled(most load) load {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if runtime.NumGoroutine() > most.goroutines && time.Now().Before(deadline) {
			continue
		}
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc <= most.heap || time.Now().After(deadline) {
			return load{runtime.NumGoroutine(), m.HeapAlloc}
		}
	}
}

// churnFor has all clients send and abort for a while.
func churnFor(t *testing.T, i *instance, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	identity, err := rest.TLSConfigFor(i.Admin())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range churners {
		seed := rand.Uint64()
		all.Go(func() { churn(ctx, identity, i.URL, rand.New(rand.NewPCG(seed, 0))) })
	}
	all.Wait()
}

func TestAbortedRequestsLeaveNothing(t *testing.T) {
	d := defaultChurn
	if text := os.Getenv(churnEnv); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	i := launch(t, t.TempDir(), startKubelet(t))
	t.Cleanup(i.Stop)
	runningPod(t, i)
	if _, err := clientset(t, i.Admin()).CoreV1().ConfigMaps("default").Create(t.Context(), configMap("churned"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	idle := load{runtime.NumGoroutine(), math.MaxUint64 / 4}
	// What is made once, caches and documents, is there after a while.
	churnFor(t, i, d/4)
	before := settled(idle.most())
	churnFor(t, i, d*3/4)
	after, most := settled(before.most()), before.most()
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > most.goroutines {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines before, %d after\n%s", before.goroutines, after.goroutines, stacks.String())
	}
	if after.heap > most.heap {
		t.Errorf("%d bytes of heap before, %d after", before.heap, after.heap)
	}
}

package apiserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/pki"
)

// withToken runs a server that believes the token "plain" to be of a user without rights of its own.
func withToken(t *testing.T, change func(*Config)) *instance {
	t.Helper()
	dir := t.TempDir()
	tokens := writeFile(t, dir, "tokens.csv", "plain,jane,7\n")
	i := launchWith(t, filepath.Join(dir, "data"), func(c *Config) {
		c.TokenAuthFile = tokens
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(i.Stop)
	return i
}

func httpClient(t *testing.T, c *rest.Config) *http.Client {
	t.Helper()
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

const reviewPath = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

// hold has a request in flight whose body never ends, until the test does.
func hold(t *testing.T, client *http.Client, url string) {
	t.Helper()
	go func() {
		for again := true; again; {
			body, _ := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(r)
			if again = err == nil && resp.StatusCode == http.StatusTooManyRequests; err == nil { // whoever looks took its place
				resp.Body.Close()
			}
		}
	}()
}

func TestRequestsBeyondTheLimitAreSentAway(t *testing.T) {
	i := withToken(t, nil)
	client := httpClient(t, i.bearer("plain"))
	for range maxWritesInFlight {
		hold(t, client, i.URL+reviewPath)
	}
	// The bodies that never end are with the server before the limit is reached.
	var refused *http.Response
	eventually(t, "one write more is sent away", func() bool {
		resp, err := client.Post(i.URL+reviewPath, "application/json", strings.NewReader(`{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		refused = resp
		return resp.StatusCode == http.StatusTooManyRequests
	})
	if after := refused.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After: %q", after)
	}
	if resp, err := client.Get(i.URL + "/version"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("reading: %v %v", resp, err)
	}
	if _, err := clientset(t, i.Admin()).CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m"), metav1.CreateOptions{}); err != nil {
		t.Errorf("the administrator is sent away: %v", err)
	}
	node := clientset(t, i.ClientConfig("system:node:n", "system:nodes"))
	if _, err := node.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}); err != nil {
		t.Errorf("a part of the process is sent away: %v", err)
	}
}

func TestWatchesDoNotCountAsRequestsInFlight(t *testing.T) {
	i := withToken(t, nil)
	watcher := clientset(t, i.Admin()).CoreV1().ConfigMaps("default")
	for range maxReadsInFlight + 10 {
		w, err := watcher.Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
	}
	client := httpClient(t, i.bearer("plain"))
	if resp, err := client.Get(i.URL + "/version"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v %v", resp, err)
	}
}

func TestRequestsThatTakeTooLongAreEnded(t *testing.T) {
	i := withToken(t, func(c *Config) { c.RequestTimeout = time.Second })
	client := httpClient(t, i.bearer("plain"))
	body, _ := io.Pipe()
	resp, err := client.Post(i.URL+reviewPath, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusGatewayTimeout && resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("status %s", resp.Status)
	}
}

func TestBodiesOutOfAllProportionAreRefused(t *testing.T) {
	i := start(t)
	client := httpClient(t, i.Admin())
	maps := i.URL + "/api/v1/namespaces/default/configmaps"
	set := clientset(t, i.Admin())
	if _, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	copies := `[{"op":"add","path":"/data/big","value":"` + strings.Repeat("x", 500_000) + `"}`
	for n := range 20 {
		copies += fmt.Sprintf(`,{"op":"copy","from":"/data/big","path":"/data/c%d"}`, n)
	}
	for name, c := range map[string]struct {
		method, url, ctype, body string
		want                     int
	}{
		"large":             {http.MethodPost, maps, "application/json", strings.Repeat(" ", 3<<20+1), http.StatusRequestEntityTooLarge},
		"deep":              {http.MethodPost, maps, "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":` + deep + "}", http.StatusBadRequest},
		"deep, unknown":     {http.MethodPost, maps, "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"odd":` + deep + "}", http.StatusBadRequest},
		"aliases of YAML":   {http.MethodPost, maps, "application/yaml", bomb, http.StatusBadRequest},
		"copies of a patch": {http.MethodPatch, maps + "/m", "application/json-patch+json", copies + "]", http.StatusUnprocessableEntity},
		"steps of a patch":  {http.MethodPatch, maps + "/m", "application/json-patch+json", "[" + strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/kind","value":"ConfigMap"},`, 10_001), ",") + "]", http.StatusRequestEntityTooLarge},
		"a deep merge":      {http.MethodPatch, maps + "/m", "application/merge-patch+json", `{"data":` + deep + "}", http.StatusBadRequest},
		"a deep apply":      {http.MethodPatch, maps + "/m?fieldManager=x", "application/apply-patch+yaml", `{"apiVersion":"v1","kind":"ConfigMap","data":` + deep + "}", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", c.ctype)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != c.want {
				t.Errorf("%s: %.300s", resp.Status, body)
			}
		})
	}
}

// handshake is what a client that takes only so much of TLS gets.
func handshake(t *testing.T, i *instance, change func(*tls.Config)) (tls.ConnectionState, error) {
	t.Helper()
	ca, err := os.ReadFile(i.Files.CACert)
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AppendCertsFromPEM(ca)
	if change != nil {
		change(c)
	}
	conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", strings.TrimPrefix(i.URL, "https://"))
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

func TestOldTLSIsRefused(t *testing.T) {
	i := start(t)
	for name, change := range map[string]func(*tls.Config){
		"1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"no forward secrecy": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		},
		"no authenticated cipher": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		},
	} {
		if s, err := handshake(t, i, change); err == nil {
			t.Errorf("%s: connected with %s", name, tls.CipherSuiteName(s.CipherSuite))
		}
	}
	if s, err := handshake(t, i, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }); err != nil {
		t.Errorf("1.2: %v", err)
	} else if s.Version != tls.VersionTLS12 {
		t.Errorf("version %x", s.Version)
	}
}

func TestARenewedCertificateIsServedWithoutARestart(t *testing.T) {
	i := start(t)
	before, err := handshake(t, i, nil)
	if err != nil {
		t.Fatal(err)
	}
	set := clientset(t, i.Admin())
	w, err := set.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := pki.Ensure(filepath.Dir(i.Files.CACert), []string{"127.0.0.1", "renewed.example.com"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is served", func() bool {
		now, err := handshake(t, i, nil)
		return err == nil && now.PeerCertificates[0].SerialNumber.Cmp(before.PeerCertificates[0].SerialNumber) != 0
	})
	if _, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m"), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if e, ok := <-w.ResultChan(); !ok || e.Object.(*corev1.ConfigMap).Name != "m" {
		t.Error("a watch that was open broke off")
	}
}

// grow changes a ConfigMap so often, by so many bytes that a client that does not read stalls.
func grow(ctx context.Context, set *kubernetes.Clientset, times int) error {
	for n := range times {
		patch := fmt.Sprintf(`{"data":{"n":"%d","big":"%s"}}`, n, strings.Repeat("x", 900_000))
		if _, err := set.CoreV1().ConfigMaps("default").Patch(ctx, "m", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func TestAWatchThatDoesNotReadIsDropped(t *testing.T) {
	for name, protocols := range map[string][]string{"HTTP 1.1": {"http/1.1"}, "HTTP 2": {"h2"}} {
		t.Run(name, func(t *testing.T) {
			i := withToken(t, func(c *Config) { c.RequestTimeout = 2 * time.Second })
			set := clientset(t, i.Admin())
			if _, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			fast, err := set.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer fast.Stop()
			slow := i.Admin()
			slow.NextProtos = protocols
			resp, err := httpClient(t, slow).Get(i.URL + "/api/v1/namespaces/default/configmaps?watch=true")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			const times = 14
			grown := make(chan error, 1)
			go func() { grown <- grow(t.Context(), set, times) }()
			for seen := 0; seen < times; seen++ {
				e, ok := <-fast.ResultChan()
				if !ok {
					t.Fatal("the watch that reads ended")
				}
				if e.Object.(*corev1.ConfigMap).Data["n"] == "" {
					seen--
				}
			}
			if err := <-grown; err != nil {
				t.Fatal(err)
			}
			eventually(t, "the watch that does not read is gone from the server", func() bool {
				return i.metric(t, `apiserver_longrunning_requests{`, `resource="configmaps"`, `verb="WATCH"`, "} 1\n")
			})
			// What had been sent is there; then the connection ends.
			n := 0
			lines := bufio.NewReader(resp.Body)
			for err = nil; err == nil; n++ {
				_, err = lines.ReadString('\n')
			}
			if n > times {
				t.Errorf("%d events reached a client that did not read", n)
			}
		})
	}
}

func TestAnIdleWatchLives(t *testing.T) {
	const timeout = time.Second
	i := withToken(t, func(c *Config) { c.RequestTimeout = timeout })
	set := clientset(t, i.Admin())
	w, err := set.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	create := func(name string) {
		if _, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), configMap(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, ok := <-w.ResultChan(); !ok {
			t.Fatal("the watch ended")
		}
	}
	create("before")
	<-time.After(timeout + timeout/2) // longer than a client may stall
	create("after")
}

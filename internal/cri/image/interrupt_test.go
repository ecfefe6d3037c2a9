package image

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blobs serves a registry's blobs in ranges, as the specification allows and the registry of these tests does not; send
// gets each answer to a GET of a blob with its body, and may do what it likes instead of sending it.
func blobs(next http.Handler, send func(w http.ResponseWriter, r *http.Request, body []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			next.ServeHTTP(w, r)
			return
		}
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		got := httptest.NewRecorder()
		next.ServeHTTP(got, whole)
		send(w, r, got.Body.Bytes())
	})
}

// offset is where a range begins.
func offset(r *http.Request) int {
	start, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	n, _ := strconv.Atoi(start)
	return n
}

// TestCutDownloadGoesOn has a registry that ends each download of a layer after a megabyte.
func TestCutDownloadGoesOn(t *testing.T) {
	const size, piece = 5 << 20, 1 << 20
	h, s := newHub(t), newStore(t)
	h.push(t, "long:v1", build(t, v1.Config{}, random(t, 1, size)))
	var mu sync.Mutex
	var offsets []int
	sent := 0
	h.refuse(func(next http.Handler) http.Handler {
		return blobs(next, func(w http.ResponseWriter, r *http.Request, body []byte) {
			if len(body) < size { // the configuration
				w.Write(body)
				return
			}
			from := offset(r)
			rest := body[from:]
			mu.Lock()
			offsets, sent = append(offsets, from), sent+min(piece, len(rest))
			mu.Unlock()
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(rest)))
			if from > 0 {
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(rest[:min(piece, len(rest))])
			if len(rest) > piece {
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
		})
	})
	pullNow(t, s, h.ref("long:v1"))
	t.Logf("asked for from %v", offsets)
	if len(offsets) < 5 {
		t.Errorf("downloads began at %v only", offsets)
	}
	for i, from := range offsets[1:] {
		if from <= offsets[i] {
			t.Errorf("download %d began at byte %d, after one at %d", i+1, from, offsets[i])
		}
	}
	if sent > size+size/10 {
		t.Errorf("%d bytes were sent of a layer of %d", sent, size)
	}
}

// TestInterruptedPullGoesOn pulls what a registry that breaks down has sent half of, by a store that was opened again.
func TestInterruptedPullGoesOn(t *testing.T) {
	for name, ranges := range map[string]bool{"by ranges": true, "without ranges": false} {
		t.Run(name, func(t *testing.T) { interruptPull(t, ranges) })
	}
}

func interruptPull(t *testing.T, ranges bool) {
	const size = 4 << 20
	h, s := newHub(t), newStore(t)
	h.push(t, "long:v1", build(t, v1.Config{}, random(t, 1, size), random(t, 2, size)))
	down, sent := true, 0
	var mu sync.Mutex
	h.refuse(func(next http.Handler) http.Handler {
		return blobs(next, func(w http.ResponseWriter, r *http.Request, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			from := offset(r)
			switch {
			case down && len(body) > size && from > 0:
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			case down && len(body) > size:
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				w.Write(body[:size/2])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			case from > 0:
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
				w.WriteHeader(http.StatusPartialContent)
			}
			n, _ := w.Write(body[from:])
			sent += n
		})
	})
	if _, err := s.Pull(t.Context(), h.ref("long:v1"), Credentials{}, nil); !errdefs.IsUnavailable(err) {
		t.Fatalf("error %v", err)
	}
	if err := errorsOf(s.Collect(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, s.config)
	if err := again.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	down, sent = false, 0
	mu.Unlock()
	if !ranges {
		h.refuse(nil)
	}
	pullNow(t, again, h.ref("long:v1"))
	if ranges && (sent < size || sent > size*3/2) {
		t.Errorf("%d bytes were sent the second time, of two layers of %d that were half there", sent, size)
	}
	remove(t, again, h.ref("long:v1"))
	assertEmpty(t, again)
}

// TestWrongContentIsRefused has a registry that sends something else than was asked for.
func TestWrongContentIsRefused(t *testing.T) {
	change := func(where string, change func([]byte) []byte) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, where) {
					next.ServeHTTP(w, r)
					return
				}
				got := httptest.NewRecorder()
				next.ServeHTTP(got, r)
				w.Header().Set("Content-Type", got.Header().Get("Content-Type"))
				w.Write(change(got.Body.Bytes()))
			})
		}
	}
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
	for name, tc := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want string
	}{
		"a bit of a blob":     {change("/blobs/", flip), "digest"},
		"a blob cut short":    {change("/blobs/", func(b []byte) []byte { return b[:len(b)-1] }), "copy"},
		"more than a blob":    {change("/blobs/", func(b []byte) []byte { return append(bytes.Clone(b), 0) }), "size"},
		"a bit of a manifest": {change("/manifests/", func(b []byte) []byte { return bytes.Replace(b, []byte("config"), []byte("Config"), 1) }), "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := newHub(t), newStore(t)
			img := small(t, "true")
			h.push(t, "liar:v1", img)
			digest, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			h.refuse(tc.wrap)
			_, err = s.Pull(t.Context(), h.ref("liar@"+digest.String()), Credentials{}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v does not say %s", err, tc.want)
			}
			assertEmpty(t, s)
		})
	}
}

// TestLayersAreFetchedAndUnpackedSideBySide holds back the lowest layer until the one above it is unpacked.
func TestLayersAreFetchedAndUnpackedSideBySide(t *testing.T) {
	const size = 1 << 20
	h, s := newHub(t), newStore(t)
	low, high := random(t, 1, size), random(t, 2, size)
	h.push(t, "two:v1", build(t, v1.Config{}, low, high))
	held, err := low.Digest()
	if err != nil {
		t.Fatal(err)
	}
	above, err := high.Digest()
	if err != nil {
		t.Fatal(err)
	}
	unpacked := make(chan struct{})
	h.refuse(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, held.String()) {
				select {
				case <-unpacked:
				case <-time.After(20 * time.Second):
					t.Error("the upper layer waits for the lower one")
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	steps := map[string]bool{}
	var once sync.Once
	_, err = s.Pull(t.Context(), h.ref("two:v1"), Credentials{}, func(p Progress) {
		steps[p.ID+" "+p.Status] = true
		if p.ID == above.Hex[:12] && (p.Status == "extracting" || p.Status == "extracted") {
			once.Do(func() { close(unpacked) })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []string{held.Hex[:12], above.Hex[:12]} {
		if !steps[layer+" waiting"] || !steps[layer+" extracted"] {
			t.Errorf("progress was told of %s: %v", layer, steps)
		}
	}
}

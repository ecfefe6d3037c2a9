package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sample = `2020-01-01T00:00:01Z stdout F one
2020-01-01T00:00:02Z stderr F two
garbage
2020-01-01T00:00:03Z stdout P thr
2020-01-01T00:00:04Z stdout F ee
2020-01-01T00:00:05.5Z stdout F 
2020-01-01T00:00:06Z stdout F six
`

func number(n int64) *int64 { return &n }

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		Options
		noErr bool
		want  string
	}{
		"all":             {want: "one\ntwo\nthree\n\nsix\n"},
		"one stream":      {noErr: true, want: "one\nthree\n\nsix\n"},
		"tail":            {Options: Options{Tail: number(2)}, want: "\nsix\n"},
		"tail none":       {Options: Options{Tail: number(0)}, want: ""},
		"tail too long":   {Options: Options{Tail: number(99)}, want: "one\ntwo\nthree\n\nsix\n"},
		"limit":           {Options: Options{Limit: number(6)}, want: "one\ntw"},
		"since":           {Options: Options{Since: time.Date(2020, 1, 1, 0, 0, 5, 0, time.UTC)}, want: "\nsix\n"},
		"with timestamps": {Options: Options{Timestamps: true, Tail: number(4)}, want: "2020-01-01T00:00:03Z three\n2020-01-01T00:00:05.5Z \n2020-01-01T00:00:06Z six\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			var err error
			if c.noErr {
				err = Read(t.Context(), path, c.Options, &out, nil)
			} else {
				err = Read(t.Context(), path, c.Options, &out, &out)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRefusesLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "0.log")); err != nil {
		t.Fatal(err)
	}
	if err := Read(t.Context(), filepath.Join(dir, "0.log"), Options{}, nil, nil); err == nil {
		t.Error("a link was followed")
	}
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	hit chan struct{}
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() {
		select {
		case b.hit <- struct{}{}:
		default:
		}
	}()
	return b.buf.Write(p)
}

// await waits until the text ends with want.
func (b *safeBuffer) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		b.mu.Lock()
		ok := strings.HasSuffix(b.buf.String(), want)
		b.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-b.hit:
		case <-deadline:
			t.Fatalf("have %q, want the end %q", b.buf.String(), want)
		}
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	line := func(text string) {
		if _, err := fmt.Fprintf(f, "2020-01-01T00:00:01Z stdout F %s\n", text); err != nil {
			t.Fatal(err)
		}
	}
	line("first")
	ended, done := make(chan struct{}), make(chan error, 1)
	out := &safeBuffer{hit: make(chan struct{}, 1)}
	go func() { done <- Read(t.Context(), path, Options{Follow: true, Ended: ended}, out, out) }()
	out.await(t, "first\n")
	if _, err := f.WriteString("2020-01-01T00:00:01Z stdo"); err != nil { // torn in two
		t.Fatal(err)
	}
	if _, err := f.WriteString("ut F second\n"); err != nil {
		t.Fatal(err)
	}
	out.await(t, "second\n")
	rotator := Rotator{MaxSize: 1, MaxFiles: 2, Reopen: func(context.Context, string) error {
		line("before") // the runtime still writes to the old file
		f.Close()
		f, err = os.Create(path)
		return err
	}}
	if err := rotator.Rotate(t.Context(), "c", path); err != nil {
		t.Fatal(err)
	}
	line("after")
	out.await(t, "before\nafter\n")
	line("last")
	close(ended)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	out.await(t, "last\n")
	f.Close()
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	r := Rotator{MaxSize: 3, MaxFiles: 3, Reopen: func(context.Context, string) error { return os.WriteFile(path, []byte("xxxx"), 0o600) }}
	for range 5 {
		if err := r.Rotate(t.Context(), "c", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // names carry milliseconds
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 {
		t.Errorf("%v %v, want 3 files", files, err)
	}
	failing := Rotator{MaxSize: 3, MaxFiles: 3, Reopen: func(context.Context, string) error { return errors.New("no") }}
	if err := failing.Rotate(t.Context(), "c", path); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the log is lost: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range strings.Split(sample, "\n") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Parse(line)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		if e.Stream != Stdout && e.Stream != Stderr || !bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\n")), e.Content) {
			t.Errorf("%q became %+v", line, e)
		}
	})
}

func FuzzTailStart(f *testing.F) {
	f.Add("a\nb\nc\n", int64(2))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		start, err := tailStart(strings.NewReader(text), n)
		if err != nil || start < 0 || start > int64(len(text)) {
			t.Fatalf("%d %v", start, err)
		}
		if start > 0 && start < int64(len(text)) && text[start-1] != '\n' {
			t.Errorf("starts within a line")
		}
		if tail := strings.TrimSuffix(text[start:], "\n"); n > 0 && tail != "" && int64(strings.Count(tail, "\n")) >= n {
			t.Errorf("too many lines")
		}
	})
}

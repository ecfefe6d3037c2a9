package log

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// Options select what Read copies.
type Options struct {
	// Since skips older entries.
	Since time.Time
	// Tail is the number of lines from the end to begin with; nil is all.
	Tail *int64
	// Limit is the number of bytes to copy at most; nil is no limit.
	Limit *int64
	// Timestamps puts each line's time in front of it.
	Timestamps bool
	// Follow goes on until Ended is closed and everything is read.
	Follow bool
	// Ended is closed when nobody will write to the log any more.
	Ended <-chan struct{}
}

// errLimit ends a copy that has reached its limit.
var errLimit = errors.New("limit reached")

// Read copies the entries of a log file to stdout and stderr; either may be nil to leave that stream out. The file
// may be rotated meanwhile.
func Read(ctx context.Context, path string, o Options, stdout, stderr io.Writer) error {
	f, err := open(path)
	if err != nil {
		return err
	}
	defer func() { f.Close() }()
	if o.Tail != nil {
		start, err := tailStart(f, *o.Tail)
		if err != nil {
			return fmt.Errorf("find the end of log %s: %w", path, err)
		}
		if _, err := f.Seek(start, io.SeekStart); err != nil {
			return fmt.Errorf("seek in log %s: %w", path, err)
		}
	}
	out := &writer{Options: o, stdout: stdout, stderr: stderr}
	if o.Limit != nil {
		out.left = *o.Limit
	}
	if !o.Follow {
		_, err := out.copy(ctx, bufio.NewReaderSize(f, 64<<10), nil)
		return ignoreEnd(err)
	}
	return ignoreEnd(follow(ctx, path, &f, out))
}

func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, errLimit) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// follow copies until the log has ended, waking when the file or its directory changes.
func follow(ctx context.Context, path string, f **os.File, out *writer) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch log: %w", err)
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch log: %w", err)
	}
	reader := bufio.NewReaderSize(*f, 64<<10)
	var rest []byte
	ended := out.Ended
	for {
		if rest, err = out.copy(ctx, reader, rest); !errors.Is(err, io.EOF) {
			return err
		}
		if fresh, ok := replaced(path, *f); ok {
			if _, err = out.copy(ctx, reader, rest); !errors.Is(err, io.EOF) { // what came before the rename
				fresh.Close()
				return err
			}
			(*f).Close()
			*f, rest = fresh, nil
			reader.Reset(fresh)
			continue
		}
		if ended == nil && out.Ended != nil {
			return nil // the end was seen before this last copy
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			ended = nil
		case <-watch.Events:
		case err := <-watch.Errors:
			slog.DebugContext(ctx, "watching a log", "path", path, "err", err)
		}
	}
}

// replaced opens the file at path if it is another one than f by now.
func replaced(path string, f *os.File) (*os.File, bool) {
	now, err := os.Lstat(path)
	if err != nil {
		return nil, false
	}
	old, err := f.Stat()
	if err != nil || os.SameFile(now, old) {
		return nil, false
	}
	fresh, err := open(path)
	return fresh, err == nil
}

// writer formats entries.
type writer struct {
	Options
	stdout, stderr io.Writer
	left           int64
	continued      [2]bool // by stream: the last entry was partial
}

// copy copies until the reader ends. An unfinished line is returned, to be given back with what follows it.
func (w *writer) copy(ctx context.Context, r *bufio.Reader, rest []byte) ([]byte, error) {
	for ctx.Err() == nil {
		line, err := r.ReadBytes('\n')
		if len(rest) > 0 {
			line, rest = append(rest, line...), nil
		}
		if err != nil {
			return line, err
		}
		if err := w.line(line); err != nil {
			return nil, err
		}
	}
	return rest, ctx.Err()
}

func (w *writer) line(line []byte) error {
	e, err := Parse(line)
	if err != nil {
		return nil // a torn line of a crashed runtime; the others count
	}
	out, i := w.stdout, 0
	if e.Stream == Stderr {
		out, i = w.stderr, 1
	}
	if out == nil || e.Time.Before(w.Since) {
		return nil
	}
	text := make([]byte, 0, len(e.Content)+40)
	if w.Timestamps && !w.continued[i] {
		text = append(e.Time.AppendFormat(text, time.RFC3339Nano), ' ')
	}
	text = append(text, e.Content...)
	if !e.Partial {
		text = append(text, '\n')
	}
	w.continued[i] = e.Partial
	return w.write(out, text)
}

func (w *writer) write(out io.Writer, text []byte) error {
	if w.Limit != nil {
		text = text[:min(int64(len(text)), w.left)]
		w.left -= int64(len(text))
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	if w.Limit != nil && w.left == 0 {
		return errLimit
	}
	return nil
}

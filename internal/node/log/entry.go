package log

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Stream is where a process wrote an entry to.
type Stream string

// The two streams.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Entry is one line of a log file.
type Entry struct {
	Time   time.Time
	Stream Stream
	// Partial says that the process's line goes on in the next entry of the stream.
	Partial bool
	Content []byte
}

// ErrFormat says that a line is not in the CRI's format.
var ErrFormat = errors.New("not a CRI log line")

// Parse reads one line, with or without its newline. Content shares the line's memory.
func Parse(line []byte) (Entry, error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	stamp, rest, ok1 := bytes.Cut(line, []byte{' '})
	stream, rest, ok2 := bytes.Cut(rest, []byte{' '})
	tags, content, ok3 := bytes.Cut(rest, []byte{' '})
	if !ok1 || !ok2 || !ok3 {
		return Entry{}, fmt.Errorf("%w: too few fields", ErrFormat)
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return Entry{}, fmt.Errorf("%w: timestamp: %w", ErrFormat, err)
	}
	e := Entry{Time: at, Stream: Stream(stream), Content: content}
	if e.Stream != Stdout && e.Stream != Stderr {
		return Entry{}, fmt.Errorf("%w: stream %q", ErrFormat, stream)
	}
	first, _, _ := bytes.Cut(tags, []byte{':'}) // further tags are for later versions of the format
	switch string(first) {
	case "P":
		e.Partial = true
	case "F":
	default:
		return Entry{}, fmt.Errorf("%w: tag %q", ErrFormat, first)
	}
	return e, nil
}

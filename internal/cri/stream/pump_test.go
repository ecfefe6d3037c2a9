package stream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

func TestPumpCopiesAll(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	want := bytes.Repeat([]byte("mayfly "), 1<<20)
	go func() {
		write.Write(want)
		write.Close()
	}()
	var got bytes.Buffer
	if err := Pump(&got, read, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got.Bytes()) {
		t.Errorf("%d of %d bytes", got.Len(), len(want))
	}
}

// TestPumpEndsWithProcess: somebody else keeps the pipe open, as a daemon does that a command left behind.
func TestPumpEndsWithProcess(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if _, err := write.WriteString("last words"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	close(ended)
	var got bytes.Buffer
	if err := Pump(&got, read, ended); err != nil {
		t.Fatal(err)
	}
	if got.String() != "last words" {
		t.Errorf("got %q", got.String())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPumpDrainsForDeadReader(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	go func() {
		write.Write(make([]byte, 4<<20)) // more than the pipe holds: blocks unless somebody reads
		write.Close()
	}()
	if err := Pump(failing{}, read, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

func TestCapped(t *testing.T) {
	c := Capped{Limit: 5}
	for _, s := range []string{"abc", "def", "ghi"} {
		if n, err := c.Write([]byte(s)); n != 3 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	if string(c.Bytes) != "abcde" {
		t.Errorf("kept %q", c.Bytes)
	}
}

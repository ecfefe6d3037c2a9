package daemon

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestOneHolderAtATime(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = acquire(dir)
	if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("error %v does not name the holder", err)
	}
	first.release()
	second, err := acquire(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	second.release()
}

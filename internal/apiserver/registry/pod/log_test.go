package pod

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEndOfLogComesApart(t *testing.T) {
	r := endApart{io.NopCloser(iotest.DataErrReader(strings.NewReader("text")))}
	buffer := make([]byte, 16)
	if n, err := r.Read(buffer); n != 4 || err != nil {
		t.Errorf("%d bytes and error %v", n, err)
	}
	if n, err := r.Read(buffer); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("then %d bytes and error %v", n, err)
	}
}

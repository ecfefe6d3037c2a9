package noise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

// capture makes slog write what is at least at level info into the buffer.
func capture(t *testing.T) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &out
}

func TestDeparturesAreNoErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		message string
		shown   bool
	}{
		"client hung up":  {fmt.Errorf("apiserver was unable to write a JSON response: %w", context.Canceled), "", false},
		"abort":           {nil, "Timeout or abort while handling", false},
		"closed socket":   {&net.OpError{Op: "read", Err: net.ErrClosed}, "Error on socket receive", false},
		"http2":           {errors.New("http2: stream closed"), "unable to write", false},
		"real trouble":    {errors.New("cannot encode"), "apiserver was unable to write", true},
		"without a cause": {nil, "something else", true},
	} {
		t.Run(name, func(t *testing.T) {
			out := capture(t)
			With(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				klog.FromContext(r.Context()).Error(c.err, c.message)
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			if got := strings.Contains(out.String(), "ERROR"); got != c.shown {
				t.Errorf("shown %v: %s", got, out)
			}
			handled := false
			filtered(func(context.Context, error, string, ...any) { handled = true }, true)(t.Context(), c.err, c.message)
			if handled != c.shown {
				t.Errorf("handled: %v", handled)
			}
		})
	}
}

func TestLowerFiltersOnce(t *testing.T) {
	Lower()
	Lower()
	out := capture(t)
	runtime.HandleError(context.Canceled)
	if out.Len() > 0 {
		t.Errorf("logged: %s", out)
	}
}

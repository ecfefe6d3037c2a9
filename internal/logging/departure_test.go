package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
	streaming "k8s.io/streaming/pkg/runtime"
)

// TestErrorsOfTheClientsOwn drives each way that Kubernetes' libraries report what they cannot return.
func TestErrorsOfTheClientsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		message string
		level   string
	}{
		"client hung up":   {fmt.Errorf("apiserver was unable to write a JSON response: %w", context.Canceled), "", ""},
		"abort":            {nil, "Timeout or abort while handling", ""},
		"after the abort":  {nil, "Post-timeout activity", ""},
		"closed socket":    {&net.OpError{Op: "read", Err: net.ErrClosed}, "Error on socket receive", ""},
		"http2":            {errors.New("http2: stream closed"), "unable to write", ""},
		"broken pipe":      {errors.New("writeto tcp 127.0.0.1:1->127.0.0.1:2: splice: broken pipe"), "Error proxying data from backend to client", ""},
		"handshake":        {nil, "http: TLS handshake error from 127.0.0.1:1: EOF", ""},
		"left exec":        {errors.New("error executing command in container: context canceled"), "", ""},
		"failing exec":     {errors.New(`error executing command in container: exec: "no": executable file not found in $PATH`), "", "INFO"},
		"nobody listens":   {errors.New("error forwarding port 80 to pod 1: connection refused"), "", "INFO"},
		"real trouble":     {errors.New("cannot encode"), "apiserver was unable to write", "ERROR"},
		"without a cause":  {nil, "something else", "ERROR"},
		"strange shake":    {nil, "http: TLS handshake error from 127.0.0.1:1: no certificate", "ERROR"},
		"a file's own end": {fmt.Errorf("read config: %w", io.ErrNoProgress), "", "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, report := range []func(error, string){
				func(err error, message string) { klog.FromContext(t.Context()).Error(err, message) },
				func(err error, message string) { runtime.HandleErrorWithContext(t.Context(), err, message) },
				func(err error, message string) { streaming.HandleErrorWithContext(t.Context(), err, message) },
			} {
				if i == 2 && c.err == nil {
					continue // this one reports errors alone
				}
				var out bytes.Buffer
				if err := Setup(Config{Level: "info", Format: "text", Output: &out}); err != nil {
					t.Fatal(err)
				}
				report(c.err, c.message)
				if got := out.String(); (c.level == "") != (got == "") || !strings.Contains(got, c.level) {
					t.Errorf("want level %q: %s", c.level, got)
				}
			}
		})
	}
}

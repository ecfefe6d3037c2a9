package doctor

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/doctor"
)

func TestRun(t *testing.T) {
	fine := doctor.Finding{Name: "kernel", OK: true, Detail: "Linux 6.18.0"}
	tight := doctor.Finding{Name: "disk space", Detail: "500 MB left", Remedy: "free some"}
	broken := doctor.Finding{Name: "user", Detail: "user 1000 may not", Remedy: "run it as root", Fatal: true}
	for name, c := range map[string]struct {
		findings []doctor.Finding
		output   string
		want     string
		err      string
	}{
		"all well":   {findings: []doctor.Finding{fine}, want: "ok    kernel           Linux 6.18.0\n"},
		"a warning":  {findings: []doctor.Finding{tight}, want: "warn  disk space       500 MB left\n                       → free some\n"},
		"a failure":  {findings: []doctor.Finding{broken}, want: "FAIL  user             user 1000 may not\n                       → run it as root\n", err: "mayfly up would not run here"},
		"json":       {findings: []doctor.Finding{fine}, output: "json", want: "[\n  {\n    \"name\": \"kernel\",\n    \"ok\": true,\n    \"detail\": \"Linux 6.18.0\"\n  }\n]\n"},
		"bad output": {output: "yaml", err: "choose text or json"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, out, _ := genericiooptions.NewTestIOStreams()
			o := &options{
				instance: config.Default(), output: "text", streams: streams,
				check: func(context.Context, doctor.Config) []doctor.Finding { return c.findings },
			}
			if c.output != "" {
				o.output = c.output
			}
			err := o.run(context.Background())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

package cri

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestReopenLog rotates while the container writes: each line is there once, in order, in whole files.
func TestReopenLog(t *testing.T) {
	const rotations = 20
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", shell("i=0; while [ ! -e /stop ]; do echo line $i; i=$((i+1)); done; echo end $i"))
	current := filepath.Join(f.logs, "web", "app.log")
	files := []string{}
	for n := range rotations {
		f.logged("web", "app", " F line ")
		rotated := fmt.Sprintf("%s.%d", current, n)
		if err := os.Rename(current, rotated); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReopenContainerLog(t.Context(), &runtimev1.ReopenContainerLogRequest{ContainerId: id}); err != nil {
			t.Fatal(err)
		}
		files = append(files, rotated)
	}
	f.touch(id, "/stop")
	f.exited(id)
	next := 0
	for _, path := range append(files, current) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) != 5 || fields[1] != "stdout" || fields[2] != "F" || fields[4] != strconv.Itoa(next) || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: %q, expected number %d", path, line, next)
			}
			if fields[3] == "line" {
				next++
			}
		}
		if len(content) == 0 && path != current {
			t.Errorf("%s is empty", path)
		}
	}
	if !strings.Contains(f.log("web", "app"), fmt.Sprintf(" F end %d\n", next)) {
		t.Errorf("no end after %d lines", next)
	}
	if _, err := f.ReopenContainerLog(t.Context(), &runtimev1.ReopenContainerLogRequest{ContainerId: id}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("reopen of one that has ended: %v", err)
	}
}

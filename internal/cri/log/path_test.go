package log

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
)

func TestPath(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]struct {
		dir, path, want string
		bad             bool
	}{
		"usual":         {dir, "app/0.log", dir + "/app/0.log", false},
		"no directory":  {"", "app/0.log", "", false},
		"no path":       {dir, "", "", false},
		"climbing":      {dir, "../0.log", "", true},
		"climbing deep": {dir, "a/../../0.log", "", true},
		"absolute":      {dir, "/etc/passwd", "", true},
		"relative dir":  {"logs", "0.log", "", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Path(c.dir, c.path)
			if got != c.want || errors.Is(err, errdefs.ErrInvalidArgument) != c.bad {
				t.Errorf("got %q, %v", got, err)
			}
			if got == "" {
				return
			}
			if info, err := os.Stat(filepath.Dir(got)); err != nil || !info.IsDir() {
				t.Errorf("directory: %v", err)
			}
		})
	}
}

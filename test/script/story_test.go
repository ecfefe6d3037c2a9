package script

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/image"
)

// storyKey finds the story of a script.
type storyKey struct{}

// story is what one script has beside its files.
type story struct {
	tools    harness.Tools
	archives image.Archives
	instance *harness.Instance
	// others are further instances, by name.
	others    map[string]*harness.Instance
	registry  *httptest.Server
	neighbour *neighbour
	notify    *net.UnixConn
}

func newStory(tools harness.Tools, archives image.Archives) (*story, error) {
	instance, err := harness.New(tools)
	if err != nil {
		return nil, err
	}
	return &story{tools: tools, archives: archives, instance: instance, others: map[string]*harness.Instance{}}, nil
}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// setenv points the programs of a script at its instance.
func (s *story) setenv(env *testscript.Env, bin string) {
	for _, pair := range s.instance.Env() {
		name, value, _ := strings.Cut(pair, "=")
		env.Setenv(name, value)
	}
	env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
	env.Setenv("DIR", s.instance.Dir)
	env.Setenv("LISTEN", s.instance.Listen)
	env.Setenv("NODE", s.instance.NodeName)
	env.Setenv("POD_CIDR", s.instance.PodCIDRs[0])
	env.Setenv("BUSYBOX_TAR", s.archives.Busybox)
	env.Setenv("CRASHER_TAR", s.archives.Crasher)
	env.Setenv("APP_TAR", s.archives.App)
	env.Setenv("APP_LAYOUT", s.archives.AppLayout)
}

// start brings an instance up with the images that stories use.
func (s *story) start(i *harness.Instance, images bool) error {
	ctx := context.Background()
	if err := i.Up(ctx); err != nil {
		return err
	}
	if !images {
		return nil
	}
	return i.Import(ctx, s.archives.All()...)
}

// close ends the story; what Mayfly left behind fails it.
func (s *story) close(t testscript.T) {
	errs := []error{s.instance.Close()}
	for _, other := range s.others {
		errs = append(errs, other.Close())
	}
	if s.registry != nil {
		s.registry.Close()
	}
	failed, _ := t.(interface{ Failed() bool })
	if failed != nil && failed.Failed() {
		t.Log("the daemon's output:\n" + tail(s.instance.Output(), 60))
	}
	if err := errors.Join(errs...); err != nil {
		t.Log("clean-up:", err)
		t.FailNow()
	}
}

// tail is the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

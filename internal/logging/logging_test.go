package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
)

func TestLibrariesSpeakThroughTheOneLogger(t *testing.T) {
	var out bytes.Buffer
	if err := Setup(Config{Level: "info", Format: "text", Output: &out}); err != nil {
		t.Fatal(err)
	}
	slog.Info("ours")
	klog.InfoS("chatter of a library")
	klog.ErrorS(nil, "trouble in a library")
	logrus.WithField("image", "busybox").Error("layer is broken")
	logrus.Warn("chatter of another library")
	klog.Flush()
	got := out.String()
	for _, want := range []string{"level=INFO msg=ours", "trouble in a library", "layer is broken", "image=busybox"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "chatter") {
		t.Errorf("a library's information message is shown at level info:\n%s", got)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]Config{
		"shout": {Level: "shout", Format: "text"},
		"xml":   {Level: "info", Format: "xml"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v does not name the value", name, err)
		}
	}
}

package node

import (
	"testing"
	"testing/synctest"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestImagesAreCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.stop()
		w.rt.images["idle"], w.rt.images["kept"] = &runtimev1.Image{Id: "sha256:idle"}, &runtimev1.Image{Id: "sha256:kept", Pinned: true}
		w.cfg.ImageGCHigh, w.cfg.ImageGCLow = 0, 0 // any disk is too full
		w.start()
		w.wait(6 * time.Minute)
		w.wantLog("run p", "create app 0", "start app", "remove image sha256:idle")
		w.wantEvent("ImageGCFailed the disk of the images is too full")
	})
}

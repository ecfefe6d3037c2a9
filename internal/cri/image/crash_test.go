package image

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/test/setting"
)

// The test of crashes takes its number of rounds and the seed of its choices from these; the others are a victim's.
const (
	crashRounds  = "MAYFLY_CRASH_ROUNDS"
	crashSeed    = "MAYFLY_CRASH_SEED"
	crashDir     = "MAYFLY_CRASH_DIR"
	crashHub     = "MAYFLY_CRASH_HUB"
	crashArchive = "MAYFLY_CRASH_ARCHIVE"
	crashUsed    = "MAYFLY_CRASH_USED"
)

// crashLayer is the size of a layer, and longestLife how long a victim lives at most.
const (
	crashLayer  = 1 << 20
	longestLife = time.Second
)

// TestCrashes kills a process at random moments while it pulls, imports, removes and collects images that share layers.
// What the next one lists must be whole, what a container used must be there, and once all is removed nothing is left.
func TestCrashes(t *testing.T) {
	if os.Getenv(crashDir) != "" {
		changeForever(t)
	}
	rounds, seed := setting.Number(t, crashRounds, 12), uint64(setting.Number(t, crashSeed, int(time.Now().UnixNano()%1e9)))
	t.Logf("%s=%d %s=%d", crashRounds, rounds, crashSeed, seed)
	random := rand.New(rand.NewPCG(seed, 1))
	h, cfg, archive := newHub(t), Config{RootDir: filepath.Join(t.TempDir(), "images")}, filepath.Join(t.TempDir(), "a.tar")
	for _, name := range crashImages {
		h.push(t, name, crashImage(t, name))
	}
	if err := os.WriteFile(archive, saved(t, crashImage(t, "imported:v1"), "imported:v1"), 0o600); err != nil {
		t.Fatal(err)
	}
	used, seen := "", 0
	for round := range rounds {
		crash(t, time.Duration(random.Int64N(int64(longestLife))), crashDir+"="+cfg.RootDir, crashHub+"="+h.host, crashArchive+"="+archive, crashSeed+"="+strconv.Itoa(round), crashUsed+"="+used)
		s, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if used != "" {
			if _, err := s.Rootfs(t.Context(), used, "container"); err != nil {
				t.Errorf("the image of a container is gone: %v", err)
			}
		}
		if err := errorsOf(s.Settle(t.Context()), s.Collect(t.Context())); err != nil {
			t.Fatal(err)
		}
		for _, item := range s.List() {
			seen++
			whole(t, s, item.ID)
			if used == "" {
				used = item.ID
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d images were found", seen)
	s := reopen(t, cfg)
	for _, name := range crashImages {
		pullNow(t, s, h.ref(name)) // which goes on from what was interrupted, and gives it up
	}
	for _, item := range s.List() {
		remove(t, s, item.ID)
	}
	assertEmpty(t, s)
}

// crashImages share a layer, and each has one of its own.
var crashImages = []string{"first:v1", "second:v1", "third:v1"}

func crashImage(t *testing.T, name string) v1.Image {
	return build(t, v1.Config{Labels: map[string]string{"name": name}}, random(t, 1, crashLayer), layer(t, file{name: "name", body: name}), random(t, 2+int(name[0]), crashLayer))
}

// whole looks whether an image has all of its files.
func whole(t *testing.T, s *Store, id string) {
	t.Helper()
	img, err := s.Get(t.Context(), id)
	if err != nil {
		t.Errorf("image %s is listed but broken: %v", id, err)
		return
	}
	name := img.Config.Labels["name"]
	if got, err := os.ReadFile(filepath.Join(img.Lower[1], "name")); err != nil || string(got) != name {
		t.Errorf("a layer of %s holds %q: %v", name, got, err)
	}
	for layer, data := range map[string]string{img.Lower[2]: "data1", img.Lower[0]: fmt.Sprint("data", 2+int(name[0]))} {
		if info, err := os.Stat(filepath.Join(layer, data)); err != nil || info.Size() != crashLayer {
			t.Errorf("a layer of %s: %+v, %v", name, info, err)
		}
	}
}

// crash runs a victim for a while after its first word.
func crash(t *testing.T, life time.Duration, env ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashes$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	words := bufio.NewScanner(out)
	for words.Scan() {
		if words.Text() == "ready" {
			time.AfterFunc(life, func() { cmd.Process.Kill() })
			continue
		}
		t.Errorf("the victim says %q", words.Text())
	}
	cmd.Wait()
}

// changeForever is the victim.
func changeForever(t *testing.T) {
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	random := rand.New(rand.NewPCG(uint64(setting.Number(t, crashSeed, 0)), 2))
	archive, err := os.ReadFile(os.Getenv(crashArchive))
	fail(err)
	s, err := New(t.Context(), Config{RootDir: os.Getenv(crashDir)})
	fail(err)
	ctx := context.Background()
	if used := os.Getenv(crashUsed); used != "" {
		_, err := s.Rootfs(ctx, used, "container")
		fail(err)
	}
	fail(s.Settle(ctx))
	fmt.Println("ready")
	for {
		ref := os.Getenv(crashHub) + "/" + crashImages[random.IntN(len(crashImages))]
		switch random.IntN(4) {
		case 0:
			if _, err := s.Remove(ctx, ref); err == nil {
				fail(s.Collect(ctx))
			}
		case 1:
			_, err := s.Import(ctx, bytes.NewReader(archive), ImportOptions{})
			fail(err)
		default:
			_, err := s.Pull(ctx, ref, Credentials{}, nil)
			fail(err)
		}
	}
}

package cri

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/test/setting"
)

// The test of crashes takes its number of rounds and the seed of its choices from these. What dies, what is asked for
// and what a disk loses is the same with the same seed; at which instruction something dies is the machine's to say.
const (
	crashRounds = "MAYFLY_CRASH_ROUNDS"
	crashSeed   = "MAYFLY_CRASH_SEED"
)

const (
	// crashSides are runtimes that are killed side by side; the first has runc, too.
	crashSides = 3
	// lastMoment is how long a runtime lives at most after the last answer that is waited for: what takes a step.
	lastMoment = 20 * time.Millisecond
)

// TestCrashes kills the runtime, a monitor, both, or the machine, at random moments while clients make, start, run
// things in, stop and remove Pods and containers. Whoever is asked next must know all that a client was told, have
// nothing twice, have nothing of what is gone, and be able to remove the rest.
func TestCrashes(t *testing.T) {
	rounds, seed := setting.Number(t, crashRounds, 210), uint64(setting.Number(t, crashSeed, int(time.Now().UnixNano()%1e9)))
	for side := range crashSides {
		t.Run(strconv.Itoa(side), func(t *testing.T) {
			t.Parallel()
			t.Logf("to repeat: %s=%d %s=%d", crashRounds, rounds, crashSeed, seed)
			c := newCrash(t, seed, side)
			for round := range (rounds + side) / crashSides {
				if c.round(); t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			c.finish()
		})
	}
}

// crash is a runtime that is killed again and again.
type crash struct {
	*fixture
	// random decides what is done, luck what of all that is there then is hit.
	random, luck *rand.Rand
	clients      []*crashClient
	runtime      *process
	// answered gets a word for each answer to a client.
	answered chan struct{}
	deaths   map[deathKind]int
}

func newCrash(t *testing.T, seed uint64, side int) *crash {
	var handlers []string
	f := newFixture(t, func(cfg *Config) {
		if side == 0 {
			cfg.RuntimeHandlers, handlers = map[string]string{"runc": lookPath(t, "runc")}, []string{"runc"}
		}
	})
	f.stop()
	random := func(which int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(side*100+which))) }
	c := &crash{fixture: f, random: random(0), luck: random(99), answered: make(chan struct{}, 1000), deaths: map[deathKind]int{}}
	count := t.TempDir()
	for i := 1; i <= 2; i++ {
		c.clients = append(c.clients, &crashClient{crash: c, random: random(i), count: count, prefix: fmt.Sprintf("c%d-", i), handlers: handlers})
	}
	c.runtime = f.spawn()
	t.Cleanup(func() { c.runtime.kill() })
	return c
}

// round lets the clients work until something dies.
func (c *crash) round() {
	c.Helper()
	d := c.choose()
	c.deaths[d.kind]++
	for len(c.answered) > 0 {
		<-c.answered
	}
	var halt atomic.Bool
	var work sync.WaitGroup
	for _, client := range c.clients {
		work.Go(func() { client.work(c.runtime, &halt) })
	}
	for range c.random.IntN(8) {
		select {
		case <-c.answered:
		case <-time.After(time.Second): // one that takes its time is as good a moment as any
		}
	}
	time.Sleep(time.Duration(c.random.Int64N(int64(lastMoment))))
	c.kill(d)
	halt.Store(true)
	work.Wait()
	if d.kind != monitorDies {
		c.runtime = c.spawn()
	}
	c.verify(d)
}

// finish removes all that is left.
func (c *crash) finish() {
	c.Helper()
	calls, cut := 0, 0
	for _, client := range c.clients {
		calls, cut = calls+client.calls, cut+client.cut
	}
	c.Logf("%v: %d calls were answered, %d cut off", c.deaths, calls, cut)
	list, err := c.runtime.ListPodSandbox(c.Context(), &runtimev1.ListPodSandboxRequest{})
	if err != nil {
		c.Fatal(err)
	}
	for _, box := range list.GetItems() {
		if _, err := c.runtime.RemovePodSandbox(c.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: box.GetId()}); err != nil {
			c.Error(err)
		}
	}
	c.empty()
}

// empty looks for what is left once every sandbox is removed.
func (c *crash) empty() {
	c.Helper()
	c.settled(func() []string { return c.orphans(&seen{}) })
	for _, pattern := range []string{
		c.cfg.RootDir + "/state/*/*", c.cfg.RootDir + "/containers/*", c.cfg.RootDir + "/sandboxes/*", c.cfg.RootDir + "/network/*",
		c.cfg.RunDir + "/netns/*", c.cfg.RunDir + "/ns/*", c.cfg.RunDir + "/shm/*", c.cfg.RunDir + "/monitor/[0-9a-f]*", c.cfg.RunDir + "/oci/*/*",
		"/sys/fs/cgroup/*/mayfly-" + c.cfg.InstanceID + "/" + strings.Repeat("[0-9a-f]", 64),
	} {
		left, err := filepath.Glob(pattern)
		if err != nil || len(left) > 0 {
			c.Errorf("left behind: %v, %v", left, err)
		}
	}
}

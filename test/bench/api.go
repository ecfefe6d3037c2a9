package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/test/harness"
)

// What the API is measured with.
const (
	apiClients = 16
	apiPods    = 5000
	apiWatches = 1000
)

// api measures the API server, of an instance whose Pods nothing schedules.
func (b *bench) api(ctx context.Context) (err error) {
	if err := b.readyz(ctx); err != nil {
		return err
	}
	instance, err := harness.Start(ctx, b.tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	c, err := connect(instance)
	if err != nil {
		return err
	}
	return b.each(ctx,
		part{"creations", func(ctx context.Context) error { return b.creations(ctx, c) }},
		part{"lists", func(ctx context.Context) error { return b.lists(ctx, c) }},
		part{"watches", func(ctx context.Context) error { return b.watches(ctx, c) }},
	)
}

// readyz measures first starts from exec until the API says that it is ready.
func (b *bench) readyz(ctx context.Context) error {
	var samples []float64
	for range b.runs {
		sample, err := b.readyOnce(ctx)
		if err != nil {
			return err
		}
		samples = append(samples, sample)
	}
	b.add("first up → /readyz", "ms", samples, atMost(300), nil)
	return nil
}

func (b *bench) readyOnce(ctx context.Context) (sample float64, err error) {
	instance, err := harness.New(b.tools)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	up := make(chan error, 1)
	start := time.Now()
	go func() { up <- instance.Up(ctx) }()
	// Its certificate is not there before it is up. One connection asks again and again: a handshake for each question
	// would keep one of two processors from starting the server.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for code := 0; code != http.StatusOK; time.Sleep(time.Millisecond) {
		if resp, err := client.Get("https://" + instance.Listen + "/readyz"); err == nil {
			code = resp.StatusCode
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if time.Since(start) > patience {
			return 0, errors.Join(fmt.Errorf("not ready after %s", patience), <-up)
		}
	}
	return milliseconds(time.Since(start)), <-up
}

// idle is a Pod that stays where it is: no scheduler is of that name.
func idle(name string) *corev1.Pod {
	p, automount := pod(name), false
	p.Spec.SchedulerName, p.Spec.AutomountServiceAccountToken = "none", &automount
	return p
}

// creations measures how long a creation takes, and how many several clients get done.
func (b *bench) creations(ctx context.Context, c *client) error {
	const alone, together = 500, 3000
	var samples []float64
	for i := range alone {
		start := time.Now()
		if _, err := c.CoreV1().Pods(namespace).Create(ctx, idle(fmt.Sprintf("alone-%d", i)), metav1.CreateOptions{}); err != nil {
			return err
		}
		samples = append(samples, milliseconds(time.Since(start)))
	}
	b.add("create a Pod", "ms", samples, atMost(2), nil)
	start := time.Now()
	if err := c.fill(ctx, "together", together); err != nil {
		return err
	}
	b.single(fmt.Sprintf("Pods created by %d clients", apiClients), "per second", together/time.Since(start).Seconds(), atLeast(1200))
	return c.fill(ctx, "rest", apiPods-alone-together)
}

// fill makes n Pods by several clients with a connection each.
func (c *client) fill(ctx context.Context, name string, n int) error {
	clients, working := errgroup.WithContext(ctx)
	for worker := range apiClients {
		own, err := connect(c.instance)
		if err != nil {
			return err
		}
		clients.Go(func() error {
			for i := worker; i < n; i += apiClients {
				if _, err := own.CoreV1().Pods(namespace).Create(working, idle(fmt.Sprintf("%s-%d", name, i)), metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return clients.Wait()
}

// lists measures a list of all Pods as kubectl and controllers ask for it, and what of memory the daemon has then.
func (b *bench) lists(ctx context.Context, c *client) error {
	for _, as := range []string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON} {
		var samples []float64
		for range b.runs {
			start := time.Now()
			raw, err := c.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").SetHeader("Accept", as).DoRaw(ctx)
			if err != nil {
				return err
			}
			if len(raw) < apiPods*100 {
				return fmt.Errorf("a list of %d Pods has %d bytes", apiPods, len(raw))
			}
			samples = append(samples, milliseconds(time.Since(start)))
		}
		b.add(fmt.Sprintf("list of %d Pods as %s", apiPods, as), "ms", samples, atMost(150), nil)
	}
	time.Sleep(settle)
	b.single(fmt.Sprintf("resident memory of up with %d Pods", apiPods), "MB", memory(c.instance.PID(), "status", "VmRSS"), atMost(250))
	return nil
}

// watches measures from a change of a Pod until each of many watches has it. They are not decoded: that is the
// client's time.
func (b *bench) watches(ctx context.Context, c *client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/api/v1/namespaces/%s/pods?watch=true&fieldSelector=metadata.name%%3Dalone-0&resourceVersion=0", c.config.Host, namespace)
	seen := make(chan time.Time, apiWatches)
	var open sync.WaitGroup
	for range apiWatches {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		open.Go(func() {
			defer resp.Body.Close()
			lines := bufio.NewReaderSize(resp.Body, 16<<10)
			for {
				if _, err := lines.ReadSlice('\n'); err != nil {
					return
				}
				seen <- time.Now()
			}
		})
	}
	samples, err := change(ctx, c.CoreV1().Pods(namespace), seen, b.runs)
	cancel()
	open.Wait() // nothing has changed since, so none waits to tell
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("change of a Pod → each of %d watches", apiWatches), "ms", samples, nil, atMost(20))
	return nil
}

// change patches the Pod, again and again, and gives how long each watch waited for each.
func change(ctx context.Context, pods typedcorev1.PodInterface, seen <-chan time.Time, times int) (samples []float64, err error) {
	for range apiWatches {
		<-seen // what was there
	}
	for i := range times {
		start := time.Now()
		if _, err := pods.Patch(ctx, "alone-0", types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"n":"%d"}}}`, i), metav1.PatchOptions{}); err != nil {
			return nil, err
		}
		for range apiWatches {
			select {
			case at := <-seen:
				samples = append(samples, milliseconds(at.Sub(start)))
			case <-time.After(patience):
				return nil, fmt.Errorf("not every watch saw change %d within %s", i, patience)
			}
		}
	}
	return samples, nil
}

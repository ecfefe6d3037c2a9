package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/mayfly-run/mayfly/test/harness"
)

const (
	namespace = "default"
	patience  = 30 * time.Second
)

// client talks to an instance as any client does: over TLS, with the administrator's certificate.
type client struct {
	*kubernetes.Clientset
	config   *rest.Config
	instance *harness.Instance
}

func connect(instance *harness.Instance) (*client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", instance.Kubeconfig)
	if err != nil {
		return nil, err
	}
	// The measured thing is the server, so the client's own brakes are off.
	config.QPS, config.Burst = -1, 0
	set, err := kubernetes.NewForConfig(config)
	return &client{set, config, instance}, err
}

// pod is a Pod of one container that does nothing.
func pod(name string) *corev1.Pod {
	none := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &none,
			Containers: []corev1.Container{{
				Name: "app", Image: "busybox", ImagePullPolicy: corev1.PullNever, Command: []string{"sleep", "1000000"},
			}},
		},
	}
}

// watchPod watches one Pod, or all with an empty name.
func (c *client) watchPod(ctx context.Context, name string) (watch.Interface, error) {
	options := metav1.ListOptions{}
	if name != "" {
		options.FieldSelector = "metadata.name=" + name
	}
	return c.CoreV1().Pods(namespace).Watch(ctx, options)
}

// until takes events until one satisfies.
func until(ctx context.Context, w watch.Interface, satisfied func(*corev1.Pod) bool) error {
	timeout := time.After(patience)
	for {
		select {
		case event, open := <-w.ResultChan():
			if !open {
				return errors.New("the watch ended")
			}
			if p, ok := event.Object.(*corev1.Pod); ok && satisfied(p) {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("nothing happened within %s", patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func running(p *corev1.Pod) bool {
	statuses := p.Status.ContainerStatuses
	return p.Status.Phase == corev1.PodRunning && len(statuses) > 0 && statuses[0].State.Running != nil
}

// start creates a Pod and waits until it runs.
func (c *client) start(ctx context.Context, name string) error {
	w, err := c.watchPod(ctx, name)
	if err != nil {
		return err
	}
	defer w.Stop()
	if _, err := c.CoreV1().Pods(namespace).Create(ctx, pod(name), metav1.CreateOptions{}); err != nil {
		return err
	}
	return until(ctx, w, running)
}

// remove deletes a Pod and waits until it is gone.
func (c *client) remove(ctx context.Context, name string) error {
	w, err := c.watchPod(ctx, name)
	if err != nil {
		return err
	}
	defer w.Stop()
	none := int64(0)
	if err := c.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &none}); err != nil {
		return err
	}
	timeout := time.After(patience)
	for {
		select {
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Deleted {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("Pod %s is still there after %s", name, patience)
		}
	}
}

// exec runs a command in a Pod as today's kubectl does, over a WebSocket of its own.
func (c *client) exec(ctx context.Context, name string, out io.Writer, command ...string) error {
	request := c.CoreV1().RESTClient().Get().Resource("pods").Namespace(namespace).Name(name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "app", Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(c.config, "GET", request.URL().String())
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: out, Stderr: io.Discard})
}

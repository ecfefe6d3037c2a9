package pod

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/httpstream/wsstream"
	"k8s.io/apimachinery/pkg/util/proxy"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	apiproxy "k8s.io/apiserver/pkg/util/proxy"
)

// connectMethods are those of an upgrade: GET is what WebSockets begin with.
func connectMethods() []string { return []string{"GET", "POST"} }

// Exec runs a command in a container.
type Exec struct{ streams }

// New implements rest.Storage.
func (*Exec) New() runtime.Object { return &corev1.PodExecOptions{} }

// Destroy implements rest.Storage.
func (*Exec) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*Exec) ConnectMethods() []string { return connectMethods() }

// NewConnectOptions implements rest.Connecter.
func (*Exec) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodExecOptions{}, false, ""
}

// Connect implements rest.Connecter.
func (e *Exec) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodExecOptions)
	if !ok {
		return nil, fmt.Errorf("invalid options object: %T", options)
	}
	query := streamQuery(o.Stdin, o.Stdout, o.Stderr, o.TTY)
	for _, c := range o.Command {
		query.Add("command", c)
	}
	want := apiproxy.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
	return e.session(ctx, "exec", name, o.Container, query, want, responder)
}

// Attach joins a container's own streams.
type Attach struct{ streams }

// New implements rest.Storage.
func (*Attach) New() runtime.Object { return &corev1.PodAttachOptions{} }

// Destroy implements rest.Storage.
func (*Attach) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*Attach) ConnectMethods() []string { return connectMethods() }

// NewConnectOptions implements rest.Connecter.
func (*Attach) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodAttachOptions{}, false, ""
}

// Connect implements rest.Connecter.
func (a *Attach) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodAttachOptions)
	if !ok {
		return nil, fmt.Errorf("invalid options object: %T", options)
	}
	query := streamQuery(o.Stdin, o.Stdout, o.Stderr, o.TTY)
	want := apiproxy.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
	return a.session(ctx, "attach", name, o.Container, query, want, responder)
}

// streamQuery spells the streams as the kubelet API does.
func streamQuery(stdin, stdout, stderr, tty bool) url.Values {
	q := url.Values{}
	for name, on := range map[string]bool{"input": stdin, "output": stdout, "error": stderr, "tty": tty} {
		if on {
			q.Set(name, "1")
		}
	}
	return q
}

// session proxies an exec or attach: SPDY as it is, WebSocket v5 translated to the SPDY that nodes speak.
func (s streams) session(ctx context.Context, verb, name, asked string, query url.Values, want apiproxy.Options, responder rest.Responder) (http.Handler, error) {
	if err := s.guard(ctx); err != nil {
		return nil, err
	}
	pod, err := get(ctx, s.pods, name)
	if err != nil {
		return nil, err
	}
	target, err := container(pod, asked)
	if err != nil {
		return nil, err
	}
	location, endpoint, err := s.location(ctx, pod, []string{verb, pod.Namespace, pod.Name, target}, query)
	if err != nil {
		return nil, err
	}
	transport := endpoint.upgradeTransport()
	plain := upgrade(location, transport, responder)
	translator := apiproxy.NewStreamTranslatorHandler(location, transport, 0, want)
	return apiproxy.NewTranslatingHandler(plain, translator, wsstream.IsWebSocketRequestWithStreamCloseProtocol), nil
}

func upgrade(location *url.URL, transport http.RoundTripper, responder rest.Responder) *proxy.UpgradeAwareHandler {
	handler := proxy.NewUpgradeAwareHandler(location, transport, false, true, proxy.NewErrorResponder(responder))
	handler.UseLocationHost = true
	return handler
}

// guard asks for the create verb where a GET upgrades: reading a Pod must not be enough to run commands in it.
func (s streams) guard(ctx context.Context) error {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	if s.authorize == nil || ok && info.Verb == "create" {
		return nil
	}
	return s.authorize(ctx)
}

// PortForward carries TCP connections into a Pod's network.
type PortForward struct{ streams }

// New implements rest.Storage.
func (*PortForward) New() runtime.Object { return &corev1.PodPortForwardOptions{} }

// Destroy implements rest.Storage.
func (*PortForward) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*PortForward) ConnectMethods() []string { return connectMethods() }

// NewConnectOptions implements rest.Connecter.
func (*PortForward) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodPortForwardOptions{}, false, ""
}

// Connect implements rest.Connecter.
func (p *PortForward) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodPortForwardOptions)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid options object: %T", options))
	}
	if err := p.guard(ctx); err != nil {
		return nil, err
	}
	pod, err := get(ctx, p.pods, name)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, port := range o.Ports {
		query.Add("port", strconv.Itoa(int(port)))
	}
	location, endpoint, err := p.location(ctx, pod, []string{"portForward", pod.Namespace, pod.Name}, query)
	if err != nil {
		return nil, err
	}
	plain := upgrade(location, endpoint.upgradeTransport(), responder)
	tunnel := apiproxy.NewTunnelingHandler(plain)
	return apiproxy.NewTranslatingHandler(plain, tunnel, wsstream.IsWebSocketRequestWithTunnelingProtocol), nil
}

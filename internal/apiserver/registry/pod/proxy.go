package pod

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Proxy carries HTTP requests to a port of a Pod: NAME, NAME:PORT or SCHEME:NAME:PORT.
type Proxy struct{ streams }

// New implements rest.Storage.
func (*Proxy) New() runtime.Object { return &corev1.PodProxyOptions{} }

// Destroy implements rest.Storage.
func (*Proxy) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*Proxy) ConnectMethods() []string {
	return proxyMethods()
}

// NewConnectOptions implements rest.Connecter: what follows "proxy" is the path.
func (*Proxy) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter.
func (p *Proxy) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodProxyOptions)
	if !ok {
		return nil, fmt.Errorf("invalid options object: %T", options)
	}
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	pod, err := get(ctx, p.pods, name)
	if err != nil {
		return nil, err
	}
	location, err := address(pod, scheme, port)
	if err != nil {
		return nil, err
	}
	location.Path = proxyPath(location.Path, o.Path)
	handler := proxy.NewUpgradeAwareHandler(location, podTransport(), true, false, proxy.NewErrorResponder(responder))
	handler.MaxBytesPerSec = 0
	return handler, nil
}

func proxyMethods() []string {
	return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
}

// proxyPath is what was asked for below base, with the slash at its end if there is one: servers tell them apart.
func proxyPath(base, asked string) string {
	joined := path.Join("/", base, asked)
	if strings.HasSuffix(asked, "/") && joined != "/" {
		joined += "/"
	}
	return joined
}

// address is the URL of a Pod's port, by default the first one that a container names.
func address(pod *corev1.Pod, scheme, port string) (*url.URL, error) {
	if port == "" {
		for _, c := range pod.Spec.Containers {
			if len(c.Ports) > 0 {
				port = fmt.Sprint(c.Ports[0].ContainerPort)
				break
			}
		}
	}
	if len(pod.Status.PodIPs) == 0 {
		return nil, apierrors.NewBadRequest("address not allowed")
	}
	ip := net.ParseIP(pod.Status.PodIPs[0].IP)
	if ip == nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() {
		return nil, apierrors.NewBadRequest("address not allowed")
	}
	host := ip.String()
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if ip.To4() == nil {
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: scheme, Host: host}, nil
}

// podTransport makes connections that are not kept: Pods' addresses are reused.
func podTransport() http.RoundTripper {
	return &http.Transport{DisableKeepAlives: true, Proxy: nil}
}

package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// maxOutput bounds what is kept of a probe's answer.
const maxOutput = 10 << 10

// Executor runs a command in a container and waits for it.
type Executor interface {
	RunCommand(ctx context.Context, containerID string, command []string, timeout time.Duration) (code int, output string, err error)
}

// NewCheck returns the Check that does all four kinds of handlers.
func NewCheck(exec Executor) Check {
	return func(ctx context.Context, t Target, p *corev1.Probe) (bool, string, error) {
		switch {
		case p.Exec != nil:
			return checkExec(ctx, exec, t, p)
		case p.HTTPGet != nil:
			return checkHTTP(ctx, t, p.HTTPGet)
		case p.TCPSocket != nil:
			return checkTCP(ctx, t, p.TCPSocket)
		case p.GRPC != nil:
			return checkGRPC(ctx, t, p.GRPC)
		}
		return false, "", errors.New("probe has no handler that this node supports")
	}
}

func checkExec(ctx context.Context, exec Executor, t Target, p *corev1.Probe) (bool, string, error) {
	timeout := max(time.Duration(p.TimeoutSeconds)*time.Second, time.Second)
	code, output, err := exec.RunCommand(context.WithoutCancel(ctx), t.ContainerID, p.Exec.Command, timeout)
	if errors.Is(err, context.DeadlineExceeded) {
		return false, fmt.Sprintf("command timed out: %q timed out after %v", strings.Join(p.Exec.Command, " "), timeout), nil
	}
	if err != nil {
		return false, "", err
	}
	return code == 0, clip(output), nil
}

// Port finds the number of a port that is given by number or by the container's name for it.
func Port(c *corev1.Container, port intstr.IntOrString) (int, error) {
	number := port.IntValue()
	if port.Type == intstr.String && number == 0 {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
	}
	if number <= 0 || number > 65535 {
		return 0, fmt.Errorf("couldn't find port: %s in container %s", port.String(), c.Name)
	}
	return number, nil
}

// Request makes the HTTP request of a probe or hook.
func Request(ctx context.Context, t Target, get *corev1.HTTPGetAction, agent string) (*http.Request, error) {
	port, err := Port(t.Container, get.Port)
	if err != nil {
		return nil, err
	}
	host := get.Host
	if host == "" {
		host = t.IP
	}
	scheme := "http"
	if get.Scheme != "" {
		scheme = strings.ToLower(string(get.Scheme))
	}
	path := get.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, strconv.Itoa(port))+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", agent)
	request.Header.Set("Accept", "*/*")
	for _, h := range get.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
			continue
		}
		if strings.EqualFold(h.Name, "User-Agent") || strings.EqualFold(h.Name, "Accept") {
			request.Header.Del(h.Name)
		}
		request.Header.Add(h.Name, h.Value)
	}
	return request, nil
}

// Client returns an HTTP client that keeps nothing and trusts every certificate, as probes and hooks do. It follows
// redirects on the same host only; another host's answer is the redirect itself.
func Client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Proxy: nil},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() || len(via) >= 10 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

func checkHTTP(ctx context.Context, t Target, get *corev1.HTTPGetAction) (bool, string, error) {
	request, err := Request(ctx, t, get, "kube-probe/1.37")
	if err != nil {
		return false, "", err
	}
	answer, err := Client().Do(request)
	if err != nil {
		return false, err.Error(), nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxOutput))
	if err != nil {
		return false, err.Error(), nil
	}
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return true, string(body), nil
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return true, "Probe terminated redirects, Response body: " + string(body), ErrRedirected
	}
	return false, fmt.Sprintf("HTTP probe failed with statuscode: %d", answer.StatusCode), nil
}

func checkTCP(ctx context.Context, t Target, action *corev1.TCPSocketAction) (bool, string, error) {
	port, err := Port(t.Container, action.Port)
	if err != nil {
		return false, "", err
	}
	host := action.Host
	if host == "" {
		host = t.IP
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false, err.Error(), nil
	}
	conn.Close()
	return true, "", nil
}

func checkGRPC(ctx context.Context, t Target, action *corev1.GRPCAction) (bool, string, error) {
	address := net.JoinHostPort(t.IP, strconv.Itoa(int(action.Port)))
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("kube-probe/1.37"))
	if err != nil {
		return false, "", fmt.Errorf("dial %s: %w", address, err)
	}
	defer conn.Close()
	service := ""
	if action.Service != nil {
		service = *action.Service
	}
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	if err != nil {
		return false, fmt.Sprintf("service unhealthy: %v", err), nil
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return false, fmt.Sprintf("service unhealthy (responded with %q)", answer.GetStatus()), nil
	}
	return true, "", nil
}

func clip(s string) string { return s[:min(len(s), maxOutput)] }

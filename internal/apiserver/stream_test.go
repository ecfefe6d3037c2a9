package apiserver

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	crirc "k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// kubelet is the far end of streams: it answers on a loopback listener with what it was asked.
type kubelet struct{ address string }

func (k kubelet) Endpoint(context.Context, string) (NodeEndpoint, error) {
	return NodeEndpoint{Scheme: "http", Host: "node", Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", k.address)
		},
	}}, nil
}

type echo struct{}

func (echo) ExecInContainer(_ context.Context, name, _, container string, cmd []string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan crirc.TerminalSize, _ time.Duration) error {
	if _, err := io.WriteString(out, name+"/"+container+" "+strings.Join(cmd, " ")+":"); err != nil {
		return err
	}
	_, err := io.Copy(out, in)
	return err
}

func startKubelet(t *testing.T) kubelet {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path+"?"+r.URL.RawQuery)
	})
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		options, err := crirc.NewOptions(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		crirc.ServeExec(w, r, echo{}, r.PathValue("namespace")+"/"+r.PathValue("pod"), "", r.PathValue("container"), r.URL.Query()["command"], options, time.Minute, time.Minute, crirc.SupportedStreamingProtocols)
	})
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return kubelet{listener.Addr().String()}
}

// runningPod makes a Pod with an ephemeral container and binds it to a node.
func runningPod(t *testing.T, i *instance) {
	t.Helper()
	set := clientset(t, i.Admin())
	automount := false
	if _, err := set.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := set.CoreV1().Pods("default")
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &automount,
			Containers:                   []corev1.Container{{Name: "app", Image: "busybox"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pods.Bind(t.Context(), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"ephemeralContainers":[{"name":"dbg","image":"busybox"}]}}`)
	if _, err := pods.Patch(t.Context(), "p", types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "ephemeralcontainers"); err != nil {
		t.Fatal(err)
	}
}

func execURL(t *testing.T, i *instance, container string) *rest.Request {
	t.Helper()
	return clientset(t, i.Admin()).CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name("p").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: []string{"say", "it"}, Stdin: true, Stdout: true}, scheme.ParameterCodec)
}

func TestStreamsEndAtTheNode(t *testing.T) {
	dir := t.TempDir()
	i := launch(t, dir, startKubelet(t))
	defer i.Stop()
	runningPod(t, i)
	t.Run("log", func(t *testing.T) {
		n := int64(3)
		raw, err := clientset(t, i.Admin()).CoreV1().Pods("default").GetLogs("p", &corev1.PodLogOptions{Container: "dbg", TailLines: &n, Timestamps: true}).DoRaw(t.Context())
		if want := "/containerLogs/default/p/dbg?tailLines=3&timestamps=true"; err != nil || string(raw) != want {
			t.Errorf("log %q %v", raw, err)
		}
	})
	for name, dial := range map[string]func(*rest.Config, *rest.Request) (remotecommand.Executor, error){
		"spdy": func(c *rest.Config, r *rest.Request) (remotecommand.Executor, error) {
			return remotecommand.NewSPDYExecutor(c, "POST", r.URL())
		},
		"websocket": func(c *rest.Config, r *rest.Request) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(c, "GET", r.URL().String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			executor, err := dial(i.Admin(), execURL(t, i, "dbg"))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("in"), Stdout: &out})
			if want := "default/p/dbg say it:in"; err != nil || out.String() != want {
				t.Errorf("exec %q %v", out.String(), err)
			}
		})
	}
	t.Run("unknown container", func(t *testing.T) {
		_, err := clientset(t, i.Admin()).CoreV1().Pods("default").GetLogs("p", &corev1.PodLogOptions{Container: "x"}).Stream(t.Context())
		if err == nil || !strings.Contains(err.Error(), "container x is not valid for pod p") {
			t.Errorf("error: %v", err)
		}
	})
	t.Run("get is not create", func(t *testing.T) { testGetIsNotCreate(t, i) })
}

// testGetIsNotCreate holds who may get the streams of Pods to reading: a WebSocket begins with a GET.
func testGetIsNotCreate(t *testing.T, i *instance) {
	admin := clientset(t, i.Admin())
	streams := []string{"pods/exec", "pods/attach", "pods/portforward"}
	give(t, admin, "reader", allow("", streams, "get"))
	give(t, admin, "writer", allow("", streams, "get", "create"))
	eventually(t, "rights are known", func() bool {
		return may(t, admin, "reader", "get", "", "pods/exec") && may(t, admin, "writer", "create", "", "pods/exec")
	})
	for user, wants := range map[string]map[string]string{
		"reader": {"p": "cannot create resource", "absent": "cannot create resource"},
		"writer": {"absent": "not found"},
	} {
		for _, stream := range []string{"exec", "attach", "portforward"} {
			for pod, want := range wants {
				get := clientset(t, i.ClientConfig(user)).CoreV1().RESTClient().Get().Resource("pods").Namespace("default").Name(pod).SubResource(stream)
				if err := get.Do(t.Context()).Error(); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s gets %s of %s: %v", user, stream, pod, err)
				}
			}
		}
	}
	config := i.Admin()
	config.Impersonate = rest.ImpersonationConfig{UserName: "writer"}
	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", execURL(t, i, "dbg").URL().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: io.Discard}); err != nil {
		t.Errorf("who may create: %v", err)
	}
}

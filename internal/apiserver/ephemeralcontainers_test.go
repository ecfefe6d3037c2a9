package apiserver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/api"
)

const (
	oldAgent   = "kubectl/v1.20.2 (linux/amd64) kubernetes/faecb19"
	protoType  = "application/vnd.kubernetes.protobuf"
	oldSubpath = "/api/v1/namespaces/default/pods/p/ephemeralcontainers"
)

// oldClient sends to the subresource of Pod p as kubectl 1.20 does.
type oldClient struct {
	http *http.Client
	url  string
}

func (c oldClient) send(t *testing.T, method, ctype, accept string, body []byte) (int, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, c.url+oldSubpath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", oldAgent)
	r.Header.Set("Content-Type", ctype)
	r.Header.Set("Accept", accept)
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, raw
}

func oldKindServer(t *testing.T) oldClient {
	t.Helper()
	i := start(t)
	set := clientset(t, i.Admin())
	makeDefaultAccount(t, set, "default")
	if _, err := set.CoreV1().Pods("default").Create(t.Context(), benchPod("p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	hc, err := rest.HTTPClientFor(i.Admin())
	if err != nil {
		t.Fatal(err)
	}
	return oldClient{hc, i.URL}
}

// first is what the seed's walk sends, and answers.
const (
	first     = `{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"p"},"ephemeralContainers":[{"command":["sh"],"image":"busybox","imagePullPolicy":"IfNotPresent","name":"debugger","stdin":true,"tty":true,"terminationMessagePolicy":"File"}]}`
	firstList = `[{"name":"debugger","image":"busybox","command":["sh"],"resources":{},"terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","stdin":true,"tty":true}]`
)

func TestOldKindAnswersAsTheSeedShows(t *testing.T) {
	c := oldKindServer(t)
	for _, method := range []string{"PUT", "PUT", "GET"} { // the second changes nothing
		code, raw := c.send(t, method, "application/json", "application/json", []byte(first))
		var got struct {
			Kind                string          `json:"kind"`
			EphemeralContainers json.RawMessage `json:"ephemeralContainers"`
		}
		if err := json.Unmarshal(raw, &got); err != nil || code != http.StatusOK || got.Kind != "EphemeralContainers" {
			t.Fatalf("%s: %d %s", method, code, raw)
		}
		if string(got.EphemeralContainers) != firstList {
			t.Errorf("%s:\n got %s\nwant %s", method, got.EphemeralContainers, firstList)
		}
	}
}

func TestOldKindTakesEveryPatch(t *testing.T) {
	c := oldKindServer(t)
	if code, raw := c.send(t, "PUT", "application/json", "application/json", []byte(first)); code != http.StatusOK {
		t.Fatalf("%d %s", code, raw)
	}
	for _, p := range []struct{ ctype, body string }{
		{"application/strategic-merge-patch+json", `{"ephemeralContainers":[{"name":"strategic","image":"busybox"}]}`},
		{"application/strategic-merge-patch+json", `{"ephemeralContainers":[{"name":"debugger","image":"busybox"}]}`},
		{"application/json-patch+json", `[{"op":"add","path":"/ephemeralContainers/-","value":{"name":"json","image":"busybox"}}]`},
		{"application/merge-patch+json", `{"ephemeralContainers":` + strings.TrimSuffix(firstList, "]") + `,{"name":"strategic","image":"busybox"},{"name":"json","image":"busybox"},{"name":"merge","image":"busybox"}]}`},
	} {
		code, raw := c.send(t, "PATCH", p.ctype, "application/json", []byte(p.body))
		if code != http.StatusOK || !bytes.Contains(raw, []byte(`"kind":"EphemeralContainers"`)) || bytes.Contains(raw, []byte("terminationMessagePath")) {
			t.Errorf("%s %s: %d %s", p.ctype, p.body, code, raw)
		}
	}
	code, raw := c.send(t, "GET", "application/json", "application/json", nil)
	for _, name := range []string{"debugger", "strategic", "json", "merge"} {
		if !bytes.Contains(raw, []byte(`"name":"`+name+`"`)) {
			t.Errorf("%s is missing: %d %s", name, code, raw)
		}
	}
}

func TestOldKindHasAnEmptyListToAddTo(t *testing.T) {
	c := oldKindServer(t)
	for _, name := range []string{"first", "second"} {
		body := `[{"op":"add","path":"/ephemeralContainers/-","value":{"name":"` + name + `","image":"busybox"}}]`
		code, raw := c.send(t, "PATCH", "application/json-patch+json", "application/json", []byte(body))
		if code != http.StatusOK || !bytes.Contains(raw, []byte(`"name":"`+name+`"`)) {
			t.Errorf("%s: %d %s", name, code, raw)
		}
	}
}

func TestOldKindTravelsAsProtobuf(t *testing.T) {
	c := oldKindServer(t)
	s := runtime.NewScheme()
	s.AddKnownTypeWithName(api.EphemeralContainersKind(), &api.EphemeralContainers{})
	codec := protobuf.NewSerializer(s, s)
	sent := &api.EphemeralContainers{ObjectMeta: metav1.ObjectMeta{Name: "p"}, EphemeralContainers: []corev1.EphemeralContainer{
		{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger", Image: "busybox"}},
	}}
	sent.SetGroupVersionKind(api.EphemeralContainersKind())
	body, err := runtime.Encode(codec, sent)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"PUT", "PUT", "GET"} {
		code, raw := c.send(t, method, protoType, protoType, body)
		if code != http.StatusOK {
			t.Fatalf("%s: %d %s", method, code, raw)
		}
		o, kind, err := codec.Decode(raw, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v in %q", method, err, raw)
		}
		got, ok := o.(*api.EphemeralContainers)
		if !ok || len(got.EphemeralContainers) != 1 || got.EphemeralContainers[0].Name != "debugger" {
			t.Errorf("%s: %v %+v", method, kind, o)
		}
	}
}

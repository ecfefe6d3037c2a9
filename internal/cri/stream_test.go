package cri

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// session is a client of one exec, attach or port-forward URL.
type session struct {
	testing.TB
	httpstream.Connection
	streams map[string]httpstream.Stream
}

func (f *fixture) connect(url, protocol string) *session {
	f.Helper()
	tripper, err := spdy.NewRoundTripper(&tls.Config{})
	if err != nil {
		f.Fatal(err)
	}
	request, err := http.NewRequestWithContext(f.Context(), http.MethodPost, url, nil)
	if err != nil {
		f.Fatal(err)
	}
	request.Header.Set(httpstream.HeaderProtocolVersion, protocol)
	answer, err := tripper.RoundTrip(request)
	if err != nil {
		f.Fatal(err)
	}
	conn, err := tripper.NewConnection(answer)
	if err != nil {
		f.Fatal(err)
	}
	return &session{TB: f, Connection: conn, streams: map[string]httpstream.Stream{}}
}

// open opens the error stream and those that are named.
func (s *session) open(names ...string) *session {
	s.Helper()
	for _, name := range append([]string{remotecommand.StreamTypeError}, names...) {
		stream, err := s.CreateStream(http.Header{remotecommand.StreamType: {name}})
		if err != nil {
			s.Fatal(err)
		}
		s.streams[name] = stream
	}
	return s
}

func (s *session) all(name string) string {
	s.Helper()
	content, err := io.ReadAll(s.streams[name])
	if err != nil {
		s.Error(err)
	}
	return string(content)
}

func (f *fixture) execURL(r *runtimev1.ExecRequest) string {
	f.Helper()
	answer, err := f.Exec(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetUrl()
}

func (f *fixture) attachURL(r *runtimev1.AttachRequest) string {
	f.Helper()
	answer, err := f.Attach(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetUrl()
}

func TestExecStreams(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")

	s := f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"sh", "-c", "cat; echo e >&2; exit 3"}, Stdin: true, Stdout: true, Stderr: true}), remotecommand.StreamProtocolV4Name)
	s.open("stdin", "stdout", "stderr")
	fmt.Fprint(s.streams["stdin"], "through\n")
	s.streams["stdin"].Close()
	if out, err := s.all("stdout"), s.all("stderr"); out != "through\n" || err != "e\n" {
		t.Errorf("stdout %q, stderr %q", out, err)
	}
	var end struct {
		Details struct{ Causes []struct{ Message string } }
	}
	if err := json.Unmarshal([]byte(s.all("error")), &end); err != nil || len(end.Details.Causes) != 1 || end.Details.Causes[0].Message != "3" {
		t.Errorf("end %+v, %v", end, err)
	}
	s.Close()

	s = f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"sh"}, Tty: true, Stdin: true, Stdout: true}), remotecommand.StreamProtocolV4Name)
	s.open("stdin", "stdout", "resize")
	fmt.Fprint(s.streams["resize"], `{"Width":123,"Height":45}`)
	fmt.Fprint(s.streams["stdin"], "while [ \"$(stty size)\" != '45 123' ]; do sleep 0.05; done; stty size; tty; exit\n")
	if out := s.all("stdout"); !strings.Contains(out, "45 123\r\n") || !strings.Contains(out, "/dev/pts/") {
		t.Errorf("terminal %q", out)
	}
	s.Close()
}

func TestTokensAreGoodOnce(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	url := f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"true"}, Stdout: true})
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("url %s", url)
	}
	s := f.connect(url, remotecommand.StreamProtocolV4Name).open("stdout")
	s.all("stdout")
	s.Close()
	answer, err := http.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("second use: %s", answer.Status)
	}
}

func TestAttach(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Command, c.Stdin, c.StdinOnce = []string{"cat"}, true, true })
	s := f.connect(f.attachURL(&runtimev1.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: true}), remotecommand.StreamProtocolV4Name)
	s.open("stdin", "stdout", "stderr")
	fmt.Fprint(s.streams["stdin"], "hello\n")
	line := make([]byte, 6)
	if _, err := io.ReadFull(s.streams["stdout"], line); err != nil || string(line) != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	s.streams["stdin"].Close() // with stdin-once this is the end of cat
	if rest := s.all("stdout"); rest != "" {
		t.Errorf("more: %q", rest)
	}
	s.Close()
	if end := f.exited(id); end.GetExitCode() != 0 || end.GetReason() != "Completed" {
		t.Errorf("end %v", end)
	}
	if log := f.log("web", "app"); !strings.Contains(log, "stdout F hello") {
		t.Errorf("log %q", log)
	}
	if _, err := f.Attach(t.Context(), &runtimev1.AttachRequest{ContainerId: id, Stdout: true}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("attach to an ended container: %v", err)
	}
}

func TestAttachTerminal(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Command, c.Stdin, c.Tty = []string{"sh"}, true, true })
	for _, word := range []string{"first", "second"} { // the shell outlives a client that leaves
		s := f.connect(f.attachURL(&runtimev1.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Tty: true}), remotecommand.StreamProtocolV4Name)
		s.open("stdin", "stdout", "resize")
		fmt.Fprintf(s.streams["stdin"], "echo %s-$((40+2))\n", word)
		var seen strings.Builder
		for !strings.Contains(seen.String(), word+"-42") {
			chunk := make([]byte, 1024)
			n, err := s.streams["stdout"].Read(chunk)
			if err != nil {
				t.Fatalf("%v after %q", err, seen.String())
			}
			seen.Write(chunk[:n])
		}
		s.Close()
	}
	if f.status(id).GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		t.Error("the shell ended with its client")
	}
}

// TestDetach: the end of a client's input ends its session, after the answer to it, and not the container.
func TestDetach(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	shells := map[bool]string{}
	for _, tty := range []bool{false, true} {
		shells[tty] = f.run(pod, config, fmt.Sprint("tty-", tty), func(c *runtimev1.ContainerConfig) {
			c.Command, c.Stdin, c.Tty, c.StdinOnce = []string{"sh"}, true, tty, tty
		})
	}
	for _, round := range []string{"first", "second"} {
		for tty, id := range shells {
			s := f.connect(f.attachURL(&runtimev1.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Tty: tty}), remotecommand.StreamProtocolV4Name)
			s.open("stdin", "stdout")
			if tty {
				s.streams["resize"], _ = s.CreateStream(http.Header{remotecommand.StreamType: {"resize"}})
			}
			fmt.Fprintf(s.streams["stdin"], "sleep 0.1; echo %s-$((40+2))\n", round)
			s.streams["stdin"].Close()
			if out := s.all("stdout"); !strings.Contains(out, round+"-42") {
				t.Errorf("tty %t: the answer is %q", tty, out)
			}
			if end := s.all("error"); !strings.Contains(end, `"status":"Success"`) {
				t.Errorf("tty %t: the session ended with %q", tty, end)
			}
			s.Close()
			if state := f.status(id).GetState(); state != runtimev1.ContainerState_CONTAINER_RUNNING {
				t.Errorf("tty %t: the container is %s", tty, state)
			}
		}
	}
}

// TestStoppingIsNoSuccess: a client whose streams end because the runtime stops is told so.
func TestStoppingIsNoSuccess(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", shell("echo ready; exec sleep 1000"))
	sessions := map[string]*session{
		"exec":   f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"sh", "-c", "echo ready; exec sleep 1000"}, Stdout: true}), remotecommand.StreamProtocolV4Name),
		"attach": f.connect(f.attachURL(&runtimev1.AttachRequest{ContainerId: f.run(pod, config, "talker", shell("while :; do echo ready; sleep 0.1; done")), Stdout: true}), remotecommand.StreamProtocolV4Name),
	}
	for _, s := range sessions {
		s.open("stdout")
		if _, err := io.ReadFull(s.streams["stdout"], make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
	}
	f.stop()
	for kind, s := range sessions {
		s.all("stdout")
		if end := s.all("error"); !strings.Contains(end, `"status":"Failure"`) || !strings.Contains(end, "the runtime is stopping") {
			t.Errorf("%s ended with %q", kind, end)
		}
		s.Close()
	}
	f.start()
}

func TestPortForward(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", shell("while :; do echo served | nc -l -p 8080; done"))
	f.exec(id, "sh", "-c", "until cat /proc/net/tcp /proc/net/tcp6 | grep -q :1F90; do sleep 0.05; done")
	forward := func(port int) (string, string) {
		answer, err := f.RuntimeServiceClient.PortForward(t.Context(), &runtimev1.PortForwardRequest{PodSandboxId: pod, Port: []int32{int32(port)}})
		if err != nil {
			t.Fatal(err)
		}
		s := f.connect(answer.GetUrl(), portforward.ProtocolV1Name)
		defer s.Close()
		for _, kind := range []string{"error", "data"} {
			s.streams[kind], err = s.CreateStream(http.Header{
				portforward.StreamType: {kind}, portforward.PortHeader: {strconv.Itoa(port)}, portforward.PortForwardRequestIDHeader: {"1"},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s.streams["error"].Close()
		return s.all("data"), s.all("error")
	}
	if data, problem := forward(8080); data != "served\n" || problem != "" {
		t.Errorf("data %q, error %q", data, problem)
	}
	if data, problem := forward(81); data != "" || !strings.Contains(problem, "connection refused") {
		t.Errorf("closed port: data %q, error %q", data, problem)
	}
}

func BenchmarkExecOutput(b *testing.B) {
	f := newFixture(b)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	const size = 256 << 20
	b.SetBytes(size)
	for b.Loop() {
		s := f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"dd", "if=/dev/zero", "bs=1M", "count=256"}, Stdout: true}), remotecommand.StreamProtocolV4Name)
		s.open("stdout")
		n, err := io.Copy(io.Discard, s.streams["stdout"])
		if err != nil || n != size {
			b.Fatalf("%d bytes, %v; %s", n, err, s.all("error"))
		}
		s.Close()
	}
}

package script

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// api [-anonymous] METHOD PATH [-agent USER-AGENT] [CONTENT-TYPE FILE|-size=N] sends a request to the API server as the administrator
// and prints the status code on the first line and the body after it. -size sends N bytes of one JSON string.
func api(ts *testscript.TestScript, neg bool, args []string) {
	const text = "api [-anonymous] METHOD PATH [-agent USER-AGENT] [CONTENT-TYPE FILE|-size=N]"
	anonymous := len(args) > 0 && args[0] == "-anonymous"
	if anonymous {
		args = args[1:]
	}
	usage(ts, !neg && len(args) >= 2, text)
	method, path, args := args[0], args[1], args[2:]
	agent := "story"
	if len(args) > 1 && args[0] == "-agent" {
		agent, args = args[1], args[2:]
	}
	usage(ts, len(args) == 0 || len(args) == 2, text)
	config, err := clientcmd.BuildConfigFromFlags("", ts.Getenv("KUBECONFIG"))
	ts.Check(err)
	if anonymous {
		config = rest.AnonymousClientConfig(config)
	}
	client, err := rest.HTTPClientFor(config)
	ts.Check(err)
	defer client.CloseIdleConnections()
	var body io.Reader
	if len(args) == 2 {
		body = content(ts, args[1])
	}
	request, err := http.NewRequest(method, config.Host+path, body)
	ts.Check(err)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", agent)
	if len(args) == 2 {
		request.Header.Set("Content-Type", args[0])
	}
	response, err := client.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	fmt.Fprintln(ts.Stdout(), response.StatusCode)
	_, err = io.Copy(ts.Stdout(), response.Body)
	ts.Check(err)
}

func content(ts *testscript.TestScript, source string) io.Reader {
	number, sized := strings.CutPrefix(source, "-size=")
	if !sized {
		return strings.NewReader(ts.ReadFile(source))
	}
	var size int
	_, err := fmt.Sscanf(number, "%d", &size)
	ts.Check(err)
	return bytes.NewReader(append(append([]byte(`{"kind":"`), bytes.Repeat([]byte("x"), size)...), `"}`...))
}

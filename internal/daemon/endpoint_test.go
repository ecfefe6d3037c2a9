package daemon

import (
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
)

func TestNoConnectionToTheNodeStaysBehind(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Done()
		}
	}}
	go server.Serve(listener)
	for range 3 {
		e, err := nodeEndpoint{name: "n", socket: socket}.Endpoint(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: e.Transport}).Get(e.Scheme + "://" + e.Host + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	open.Wait() // for ever, if a connection is kept
	server.Close()
}

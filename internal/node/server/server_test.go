package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/node/pod"
)

type nobody struct{}

func (nobody) Find(string, string) *pod.Worker { return nil }
func (nobody) List() []*pod.Worker             { return nil }

func TestRoutes(t *testing.T) {
	handler := New(Config{Pods: nobody{}, NodeName: "n", StartedAt: time.Now()})
	for name, c := range map[string]struct {
		method, path string
		code         int
		body         string
	}{
		"health":           {http.MethodGet, "/healthz", http.StatusOK, "ok"},
		"pods":             {http.MethodGet, "/pods", http.StatusOK, `"kind":"PodList"`},
		"metrics":          {http.MethodGet, "/metrics", http.StatusOK, "kubelet_running_pods 0"},
		"log of no pod":    {http.MethodGet, "/containerLogs/ns/p/c", http.StatusNotFound, "pod does not exist"},
		"exec in no pod":   {http.MethodPost, "/exec/ns/p/c?command=ls&output=1", http.StatusNotFound, "pod does not exist"},
		"exec, uid":        {http.MethodPost, "/exec/ns/p/uid/c?command=ls&output=1", http.StatusNotFound, "pod does not exist"},
		"exec, no stream":  {http.MethodPost, "/exec/ns/p/c?command=ls", http.StatusBadRequest, "at least 1 of stdin, stdout, stderr"},
		"attach to no pod": {http.MethodGet, "/attach/ns/p/c?output=1", http.StatusNotFound, "pod does not exist"},
		"port of no pod":   {http.MethodPost, "/portForward/ns/p", http.StatusNotFound, "pod does not exist"},
		"run in no pod":    {http.MethodPost, "/run/ns/p/c?cmd=ls", http.StatusNotFound, "pod does not exist"},
		"no such path":     {http.MethodGet, "/nothing", http.StatusNotFound, "404"},
		"log is only read": {http.MethodPost, "/containerLogs/ns/p/c", http.StatusMethodNotAllowed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(c.method, c.path, nil))
			if answer.Code != c.code || !strings.Contains(answer.Body.String(), c.body) {
				t.Errorf("%d %s, want %d %s", answer.Code, answer.Body, c.code, c.body)
			}
		})
	}
}

func TestParseLogQuery(t *testing.T) {
	now := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	q, err := parseLogQuery(url.Values{"follow": {"true"}, "tailLines": {"5"}, "sinceSeconds": {"60"}, "limitBytes": {"9"}, "previous": {"true"}, "stream": {"Stderr"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if !q.Follow || !q.previous || *q.Tail != 5 || *q.Limit != 9 || !q.Since.Equal(now.Add(-time.Minute)) || q.stream != "Stderr" {
		t.Errorf("%+v", q)
	}
	for name, bad := range map[string]url.Values{
		"tail": {"tailLines": {"-1"}}, "limit": {"limitBytes": {"0"}}, "since": {"sinceSeconds": {"x"}}, "time": {"sinceTime": {"yesterday"}}, "stream": {"stream": {"both"}}, "follow": {"follow": {"maybe"}},
	} {
		if _, err := parseLogQuery(bad, now); err == nil {
			t.Errorf("%s: %v was taken", name, bad)
		}
	}
}

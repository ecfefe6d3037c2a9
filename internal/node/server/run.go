package server

import (
	"net/http"
	"strings"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// run runs a command (parameter cmd, split at spaces) in a container and answers with what it wrote.
func (s *server) run(w http.ResponseWriter, r *http.Request) {
	c := s.running(w, r)
	if c == nil {
		return
	}
	command := strings.Fields(r.URL.Query().Get("cmd"))
	answer, err := s.Runtime.ExecSync(r.Context(), &runtimev1.ExecSyncRequest{ContainerId: c.GetId(), Cmd: command})
	if err != nil {
		http.Error(w, runtime.Reason(err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(append(answer.GetStdout(), answer.GetStderr()...)) // a caller that left needs no answer
}

package apiserver

import (
	"log/slog"
	"net/http"

	"github.com/mayfly-run/mayfly/internal/apiserver/storage"
)

// BackupHandler answers GET /snapshot with all data of the API as of one moment. It asks nobody who they are: it is for
// a socket that root alone may open.
func (s *Server) BackupHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /snapshot", func(w http.ResponseWriter, r *http.Request) {
		if len(s.cfg.EtcdServers) > 0 {
			http.Error(w, storage.ErrNotHere.Error(), http.StatusConflict)
			return
		}
		if err := s.store.Snapshot(r.Context(), w); err != nil {
			slog.ErrorContext(r.Context(), "backup", "err", err)
			panic(http.ErrAbortHandler) // so that the client sees an answer that is cut, not a short one
		}
	})
	return mux
}

// Restore makes the data of the server with this DataDir from a file of [Server.BackupHandler]. The server must not run
// and must have no data.
func Restore(file, dataDir string) error {
	return storage.Restore(file, Config{DataDir: dataDir}.etcdDir())
}

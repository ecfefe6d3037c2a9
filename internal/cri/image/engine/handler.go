package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// apiVersion is the version of Docker's API that the routes follow.
const apiVersion = "1.43"

// maxHeader bounds the credentials header.
const maxHeader = 64 << 10

// handler serves one store. Image names hold slashes, so that the standard multiplexer does not fit; Docker's clients
// put a version in front of every path.
type handler struct {
	store   *image.Store
	version *regexp.Regexp
}

// Handler serves the image routes:
//
//	POST   /images/load?tag=                 import a tar stream
//	POST   /images/create?fromImage=&tag=    pull, with credentials in X-Registry-Auth
//	GET    /images/json                      list
//	GET    /images/get?names=                export; also /images/{name}/get
//	GET    /images/{name}/json               inspect
//	DELETE /images/{name}                    remove
//	GET    /_ping, /version                  what clients ask first
func Handler(store *image.Store) http.Handler {
	return &handler{store: store, version: regexp.MustCompile(`^/v[0-9]+\.[0-9]+/`)}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := h.version.ReplaceAllString(r.URL.Path, "/")
	w.Header().Set("Api-Version", apiVersion)
	w.Header().Set("Ostype", "linux")
	name, isImage := strings.CutPrefix(path, "/images/")
	switch route := r.Method + " " + path; {
	case path == "/_ping":
		w.WriteHeader(http.StatusOK)
	case route == "GET /version":
		answer(w, map[string]string{"ApiVersion": apiVersion, "MinAPIVersion": "1.24", "Os": "linux", "Version": "mayfly"})
	case route == "POST /images/load":
		h.load(w, r)
	case route == "POST /images/create":
		h.create(w, r)
	case route == "GET /images/json":
		h.list(w)
	case route == "GET /images/get":
		h.export(w, r, r.URL.Query()["names"])
	case isImage && r.Method == http.MethodDelete:
		h.remove(w, r, name)
	case isImage && r.Method == http.MethodGet && strings.HasSuffix(name, "/json"):
		h.inspect(w, r, strings.TrimSuffix(name, "/json"))
	case isImage && r.Method == http.MethodGet && strings.HasSuffix(name, "/get"):
		h.export(w, r, []string{strings.TrimSuffix(name, "/get")})
	default:
		refuse(w, fmt.Errorf("%s is none of the image routes: %w", route, errdefs.ErrNotFound))
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Debug("answer image request", "err", err)
	}
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status(err))
	if err := json.NewEncoder(w).Encode(map[string]string{"message": err.Error()}); err != nil {
		slog.Debug("refuse image request", "err", err)
	}
}

// stream is an answer of lines, each a JSON message. Until the first is sent, an error still sets the status.
type stream struct {
	w       http.ResponseWriter
	started bool
}

func (s *stream) send(m message) {
	if !s.started {
		s.w.Header().Set("Content-Type", "application/json")
		s.started = true
	}
	if err := json.NewEncoder(s.w).Encode(m); err != nil {
		return // the client left; the request's context says so to the work
	}
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
}

func (s *stream) progress(p image.Progress) {
	m := message{ID: p.ID, Status: p.Status}
	if p.Total > 0 || p.Current > 0 {
		m.Detail = &detail{p.Current, p.Total}
	}
	s.send(m)
}

func (s *stream) fail(err error) {
	if s.started {
		s.send(describe(err))
		return
	}
	refuse(s.w, err)
}

func (h *handler) load(w http.ResponseWriter, r *http.Request) {
	out := &stream{w: w}
	got, err := h.store.Import(r.Context(), r.Body, image.ImportOptions{Tag: r.URL.Query().Get("tag")})
	if err != nil {
		out.fail(err)
		return
	}
	for _, i := range got {
		out.send(loaded(i))
	}
}

func (h *handler) create(w http.ResponseWriter, r *http.Request) {
	out := &stream{w: w}
	ref := r.URL.Query().Get("fromImage")
	if ref == "" {
		out.fail(fmt.Errorf("fromImage is empty; only pulls create images here: %w", errdefs.ErrInvalidArgument))
		return
	}
	if tag := r.URL.Query().Get("tag"); strings.Contains(tag, ":") {
		ref += "@" + tag
	} else if tag != "" {
		ref += ":" + tag
	}
	a, err := parseAuth(r.Header.Get("X-Registry-Auth"))
	if err != nil {
		out.fail(err)
		return
	}
	id, err := h.store.Pull(r.Context(), ref, a.credentials(), out.progress)
	if err != nil {
		out.fail(err)
		return
	}
	out.send(message{Status: "Status: Image is up to date for " + ref, Imported: &imported{ID: id}})
}

func parseAuth(header string) (a auth, _ error) {
	if header == "" {
		return a, nil
	}
	if len(header) > maxHeader {
		return a, fmt.Errorf("X-Registry-Auth is longer than %d bytes: %w", maxHeader, errdefs.ErrInvalidArgument)
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(header, "="))
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("X-Registry-Auth is not base64url of JSON: %v: %w", err, errdefs.ErrInvalidArgument)
	}
	return a, nil
}

func (h *handler) list(w http.ResponseWriter) {
	list := []summary{}
	for _, i := range h.store.List() {
		list = append(list, wireSummary(i))
	}
	answer(w, list)
}

func wireSummary(i image.Summary) summary {
	s := summary{ID: i.ID, RepoTags: []string{}, RepoDigests: []string{}, Size: i.Size, SharedSize: -1, Labels: i.Labels, Containers: i.Containers}
	for _, name := range i.RepoTags {
		s.RepoTags = append(s.RepoTags, image.Familiar(name))
	}
	for _, name := range i.RepoDigests {
		s.RepoDigests = append(s.RepoDigests, image.Familiar(name))
	}
	if !i.Created.IsZero() {
		s.Created = i.Created.Unix()
	}
	return s
}

func (h *handler) inspect(w http.ResponseWriter, r *http.Request, name string) {
	img, err := h.store.Get(r.Context(), name)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, map[string]any{"Id": img.ID, "RepoTags": img.RepoTags, "RepoDigests": img.RepoDigests, "Config": img.Config, "Os": "linux"})
}

func (h *handler) export(w http.ResponseWriter, r *http.Request, names []string) {
	var all []string
	for _, n := range names {
		all = append(all, strings.Split(n, ",")...)
	}
	if len(all) == 0 {
		refuse(w, fmt.Errorf("names is empty: %w", errdefs.ErrInvalidArgument))
		return
	}
	out := &lazyWriter{ResponseWriter: w}
	err := h.store.Export(r.Context(), out, all...)
	switch {
	case err == nil:
	case !out.started:
		refuse(w, err)
	default:
		slog.WarnContext(r.Context(), "export image", "err", err)
		panic(http.ErrAbortHandler) // cut the connection, so that the client sees that the archive is not whole
	}
}

type lazyWriter struct {
	http.ResponseWriter
	started bool
}

func (l *lazyWriter) Write(p []byte) (int, error) {
	if !l.started {
		l.started = true
		l.Header().Set("Content-Type", "application/x-tar")
	}
	return l.ResponseWriter.Write(p)
}

func (h *handler) remove(w http.ResponseWriter, r *http.Request, name string) {
	removed, err := h.store.Untag(r.Context(), name)
	if err != nil {
		refuse(w, err)
		return
	}
	list := []removal{}
	for _, n := range removed.Names {
		if n != removed.ID {
			list = append(list, removal{Untagged: image.Familiar(n)})
		}
	}
	if removed.ID != "" {
		list = append(list, removal{Deleted: removed.ID})
	}
	answer(w, list)
}

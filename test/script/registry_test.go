package script

import (
	"crypto/subtle"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mayfly-run/mayfly/test/image"
)

// The credentials that the registry's private repositories take.
const user, password = "jane", "s3cret"

// registry starts an image registry on loopback and sets REGISTRY to its address. It holds public/busybox and
// private/busybox, which takes credentials.
func registry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "registry")
	s := of(ts)
	store := server.New(server.Logger(log.New(io.Discard, "", 0)))
	s.registry = httptest.NewServer(guard(store))
	ts.Setenv("REGISTRY", strings.TrimPrefix(s.registry.URL, "http://"))
	entrance := httptest.NewServer(store)
	defer entrance.Close()
	busybox, err := image.Busybox(s.tools.Programs())
	ts.Check(err)
	for _, repository := range []string{"public/busybox:1", "private/busybox:1"} {
		ts.Check(push(strings.TrimPrefix(entrance.URL, "http://")+"/"+repository, busybox))
	}
}

func push(reference string, image v1.Image) error {
	tag, err := name.NewTag(reference, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(tag, image)
}

// guard asks for credentials where a path leads to a private repository.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, _ := r.BasicAuth()
		allowed := name == user && subtle.ConstantTimeCompare([]byte(secret), []byte(password)) == 1
		if strings.HasPrefix(r.URL.Path, "/v2/private/") && !allowed {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

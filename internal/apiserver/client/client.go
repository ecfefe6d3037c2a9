// Package client tells what kind of client a request is from, where the API answers old ones otherwise.
package client

import (
	"context"
	"net/http"
	"regexp"
)

// legacyAgent matches the User-Agent of clients of Kubernetes v1.16 to v1.21, which know pods/ephemeralcontainers as
// a resource of kind EphemeralContainers: "kubectl/v1.20.2 (linux/amd64) kubernetes/faecb19".
const legacyAgent = `^[^/ ]+/v1\.(1[6-9]|2[01])\.`

type key struct{}

// request is what later handlers may want to know of it.
type request struct {
	legacy bool
	sent   bool
}

// With notes in each request's context what its client speaks.
func With(next http.Handler) http.Handler {
	agent := regexp.MustCompile(legacyAgent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := &request{legacy: agent.MatchString(r.UserAgent())}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, info)))
	})
}

// SpeaksEphemeralContainers tells whether the client expects the old kind.
func SpeaksEphemeralContainers(ctx context.Context) bool {
	info, ok := ctx.Value(key{}).(*request)
	return ok && info.legacy
}

// MarkEphemeralContainers notes that the request's body was of the old kind.
func MarkEphemeralContainers(ctx context.Context) {
	if info, ok := ctx.Value(key{}).(*request); ok {
		info.sent = true
	}
}

// SentEphemeralContainers tells whether the request's body was of the old kind.
func SentEphemeralContainers(ctx context.Context) bool {
	info, ok := ctx.Value(key{}).(*request)
	return ok && info.sent
}

package script

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/rogpeppe/go-internal/testscript"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
)

// neighbour is what an API server can be told to ask and to tell: an issuer of tokens, webhooks, a collector of traces.
type neighbour struct {
	collectorv1.UnimplementedTraceServiceServer
	*httptest.Server
	key *ecdsa.PrivateKey

	mu    sync.Mutex
	heard []string // audit events and names of spans
}

// neighbours starts them on loopback, sets JWT to a token of jane's, and writes what points Mayfly at them:
// authentication.yaml, authorization.yaml, tracing.yaml, token.kubeconfig and audit.kubeconfig.
func neighbours(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "neighbours")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	n := &neighbour{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", n.issuer)
	mux.HandleFunc("/keys", n.keys)
	mux.HandleFunc("/token", n.believe)
	mux.HandleFunc("/access", n.allow)
	mux.HandleFunc("/audit", n.record)
	n.Server = httptest.NewTLSServer(mux)
	ts.Defer(n.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	traces := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(traces, n)
	go func() { _ = traces.Serve(listener) }()
	ts.Defer(traces.Stop)
	ts.Setenv("JWT", n.token(ts))
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Certificate().Raw}))
	for name, text := range map[string]string{
		"hook.crt":            ca,
		"token.kubeconfig":    n.kubeconfig(ts, "/token"),
		"access.kubeconfig":   n.kubeconfig(ts, "/access"),
		"audit.kubeconfig":    n.kubeconfig(ts, "/audit"),
		"authentication.yaml": fmt.Sprintf(authentication, n.URL, ca),
		"authorization.yaml":  fmt.Sprintf(authorization, ts.MkAbs("access.kubeconfig")),
		"tracing.yaml":        fmt.Sprintf(tracing, listener.Addr()),
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
	of(ts).neighbour = n
}

const (
	authentication = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: %q, audiences: [mayfly], certificateAuthority: %q}
  claimMappings: {username: {claim: sub, prefix: "oidc:"}}
`
	authorization = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: Node, name: node}
- {type: RBAC, name: rbac}
- type: Webhook
  name: neighbour
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: NoOpinion
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
`
	tracing = `
apiVersion: apiserver.config.k8s.io/v1
kind: TracingConfiguration
endpoint: %q
samplingRatePerMillion: 1000000
`
	hookKubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: hook, cluster: {server: %q, certificate-authority: %q}}]
contexts: [{name: hook, context: {cluster: hook}}]
current-context: hook
`
)

func (n *neighbour) kubeconfig(ts *testscript.TestScript, path string) string {
	return fmt.Sprintf(hookKubeconfig, n.URL+path, ts.MkAbs("hook.crt"))
}

func (n *neighbour) token(ts *testscript.TestScript) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: n.key, KeyID: "k"}}, nil)
	ts.Check(err)
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: n.URL, Audience: jwt.Audience{"mayfly"}, Subject: "jane", IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	}).Serialize()
	ts.Check(err)
	return token
}

func (n *neighbour) issuer(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"issuer": n.URL, "jwks_uri": n.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
}

func (n *neighbour) keys(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &n.key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
}

// believe knows one token.
func (n *neighbour) believe(w http.ResponseWriter, r *http.Request) {
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if review.Spec.Token == "hooked" {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "guest"}}
	}
	_ = json.NewEncoder(w).Encode(review)
}

// allow lets the guest read ConfigMaps, and has no opinion on anything else.
func (n *neighbour) allow(w http.ResponseWriter, r *http.Request) {
	var review authorizationv1.SubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a := review.Spec.ResourceAttributes
	review.Status.Allowed = review.Spec.User == "guest" && a != nil && a.Resource == "configmaps" && a.Verb == "get"
	_ = json.NewEncoder(w).Encode(review)
}

func (n *neighbour) record(_ http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, "audit "+string(text))
}

// Export implements collectorv1.TraceServiceServer.
func (n *neighbour) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				n.heard = append(n.heard, "span "+span.GetName())
			}
		}
	}
	return new(collectorv1.ExportTraceServiceResponse), nil
}

// heard PATTERN looks for what the neighbours were told.
func heard(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, "heard PATTERN")
	n := of(ts).neighbour
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.heard, "\n")
	if regexp.MustCompile("(?m)"+args[0]).MatchString(all) == neg {
		ts.Fatalf("the neighbours were told:\n%s", all)
	}
}

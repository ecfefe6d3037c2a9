package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// writeFile makes a file of the directory and gives its path.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (i *instance) bearer(token string) *rest.Config {
	return &rest.Config{Host: i.URL, QPS: -1, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: i.Files.CACert}}
}

// issuer is an OpenID provider.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}))
}

func (i *issuer) token(t *testing.T, audience string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: i.URL, Audience: jwt.Audience{audience}, Subject: "s", IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensOfConfiguredIssuersAreBelieved(t *testing.T) {
	provider, dir := newIssuer(t), t.TempDir()
	file := writeFile(t, dir, "authentication.yaml", fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: {enabled: true, conditions: [{path: /livez}]}
jwt:
- issuer: {url: %q, audiences: [mayfly], certificateAuthority: %q}
  claimMappings:
    username: {expression: '"oidc:" + claims.name'}
    groups: {expression: 'claims.teams.split(",").map(g, "team:" + g)'}
  claimValidationRules: [{expression: 'claims.hd == "example.com"', message: wrong domain}]
  userValidationRules: [{expression: '!user.username.startsWith("oidc:system")', message: reserved}]
`, provider.URL, provider.ca()))
	i := launchWith(t, dir, func(c *Config) { c.AuthenticationConfigFile = file })
	t.Cleanup(i.Stop)
	whoami := func(token string) (authenticationv1.UserInfo, error) {
		r, err := clientset(t, i.bearer(token)).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return authenticationv1.UserInfo{}, err
		}
		return r.Status.UserInfo, nil
	}
	good := provider.token(t, "mayfly", map[string]any{"name": "jane", "teams": "a,b", "hd": "example.com"})
	// The provider's keys are fetched in the background.
	eventually(t, "the token is believed", func() bool {
		u, err := whoami(good)
		return err == nil && u.Username == "oidc:jane" && cmp.Equal(u.Groups, []string{"team:a", "team:b", "system:authenticated"})
	})
	for name, token := range map[string]string{
		"other audience": provider.token(t, "other", map[string]any{"name": "jane", "teams": "a", "hd": "example.com"}),
		"other domain":   provider.token(t, "mayfly", map[string]any{"name": "jane", "teams": "a", "hd": "example.org"}),
		"reserved name":  provider.token(t, "mayfly", map[string]any{"name": "system", "teams": "a", "hd": "example.com"}),
		"other key":      newIssuer(t).token(t, "mayfly", map[string]any{"name": "jane", "teams": "a", "hd": "example.com"}),
	} {
		if u, err := whoami(token); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v %v", name, u, err)
		}
	}
	for path, want := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusUnauthorized} {
		if got := anonymousStatus(t, i, path); got != want {
			t.Errorf("%s answers %d to anybody", path, got)
		}
	}
}

func anonymousStatus(t *testing.T, i *instance, path string) int {
	t.Helper()
	client, err := rest.HTTPClientFor(i.bearer(""))
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Get(i.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}

func TestConfigurationsThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text, want string
		change     func(*Config, string)
	}{
		"authentication": {
			"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{issuer: {url: 'http://x', audiences: [a]}, claimMappings: {username: {claim: sub, prefix: ''}}}]",
			"jwt[0].issuer.url", func(c *Config, f string) { c.AuthenticationConfigFile = f },
		},
		"unknown field": {
			"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nodd: 1",
			`unknown field "odd"`, func(c *Config, f string) { c.AuthenticationConfigFile = f },
		},
		"authorization": {
			"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: [{type: ABAC, name: a}]",
			`Unsupported value: "ABAC"`, func(c *Config, f string) { c.AuthorizationConfigFile = f },
		},
	} {
		file := writeFile(t, dir, "c.yaml", c.text)
		err := startError(t, func(cfg *Config) { c.change(cfg, file) })
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebhooksAuthorize(t *testing.T) {
	dir := t.TempDir()
	asked := make(chan authorizationv1.SubjectAccessReviewSpec, 100)
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		asked <- review.Spec
		review.Status.Allowed = review.Spec.User == "jane"
		review.Status.Denied = review.Spec.User == "joe"
		review.Status.Reason = "the hook says so"
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(hook.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
	kubeconfig := writeFile(t, dir, "hook.kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]}`, hook.URL, writeFile(t, dir, "hook.crt", string(ca))))
	file := writeFile(t, dir, "authorization.yaml", fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: hook
  webhook:
    timeout: 10s
    authorizedTTL: 10s
    unauthorizedTTL: 10s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
    matchConditions:
    - expression: has(request.resourceAttributes) && request.resourceAttributes.resource == "secrets"
- {type: Node, name: node}
- {type: RBAC, name: rbac}
`, kubeconfig))
	i := launchWith(t, dir, func(c *Config) { c.AuthorizationConfigFile = file })
	t.Cleanup(i.Stop)
	list := func(name string, groups ...string) error {
		_, err := clientset(t, i.ClientConfig(name, groups...)).CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := list("jane"); err != nil {
		t.Errorf("whom the hook allows: %v", err)
	}
	if spec := <-asked; spec.User != "jane" || spec.ResourceAttributes.Verb != "list" || spec.ResourceAttributes.Namespace != "default" {
		t.Errorf("asked %+v", spec)
	}
	if err := list("joe"); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "the hook says so") {
		t.Errorf("whom the hook denies: %v", err)
	}
	// What the condition does not match is RBAC's, and masters are asked for nothing.
	if _, err := clientset(t, i.ClientConfig("jane")).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("config maps: %v", err)
	}
	hook.Close()
	if err := list("jim"); err == nil {
		t.Error("allowed while the hook is away")
	}
	if err := list("root", "system:masters"); err != nil {
		t.Errorf("masters: %v", err)
	}
}

func TestBootstrapTokensAreBelievedWhenAskedFor(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		i := launchWith(t, t.TempDir(), func(c *Config) { c.BootstrapTokens = enabled })
		t.Cleanup(i.Stop)
		_, err := clientset(t, i.Admin()).CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: corev1.SecretTypeBootstrapToken,
			StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", "auth-extra-groups": "system:bootstrappers:nodes"},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := clientset(t, i.bearer("abcdef.0123456789abcdef")).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if !enabled {
			if !apierrors.IsUnauthorized(err) {
				t.Errorf("believed unasked: %v", err)
			}
			continue
		}
		if err != nil || !cmp.Equal(r.Status.UserInfo.Groups, []string{"system:bootstrappers", "system:bootstrappers:nodes", "system:authenticated"}) {
			t.Errorf("%v %v", r, err)
		}
	}
}

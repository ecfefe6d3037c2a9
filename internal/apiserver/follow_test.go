package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replaceFile does what editors and configuration tools do: the new file takes the place of the old one.
func replaceFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.Rename(writeFile(t, filepath.Dir(file), "new", text), file); err != nil {
		t.Fatal(err)
	}
}

// metric tells whether /metrics has a line that begins with name and holds all the other texts.
func (i *instance) metric(t *testing.T, name string, parts ...string) bool {
	t.Helper()
	raw, err := clientset(t, i.Admin()).RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
next:
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return true
	}
	return false
}

func authenticationText(p *issuer, prefix, more string) string {
	return fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: %q, audiences: [mayfly], certificateAuthority: %q}
  claimMappings: {username: {claim: sub, prefix: %q}}
%s`, p.URL, p.ca(), prefix, more)
}

func TestAuthenticationFollowsItsFile(t *testing.T) {
	provider, dir := newIssuer(t), t.TempDir()
	file := writeFile(t, dir, "authentication.yaml", authenticationText(provider, "one:", ""))
	i := launchWith(t, filepath.Join(dir, "data"), func(c *Config) { c.AuthenticationConfigFile = file })
	t.Cleanup(i.Stop)
	set := clientset(t, i.bearer(provider.token(t, "mayfly", nil)))
	whoami := func() string {
		r, err := set.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return err.Error()
		}
		return r.Status.UserInfo.Username
	}
	eventually(t, "the first text holds", func() bool { return whoami() == "one:s" })
	replaceFile(t, file, authenticationText(provider, "two:", ""))
	eventually(t, "the second text holds", func() bool { return whoami() == "two:s" })
	const reloads = "apiserver_authentication_config_controller_automatic_reloads_total"
	for name, text := range map[string]string{
		"unknown field":     authenticationText(provider, "three:", "odd: 1"),
		"changed anonymous": authenticationText(provider, "three:", "anonymous: {enabled: false}"),
		"no issuer":         strings.Replace(authenticationText(provider, "three:", ""), "https://", "http://", 1),
	} {
		before := i.failures(t, reloads)
		replaceFile(t, file, text)
		eventually(t, name+" is counted as a failure", func() bool { return i.failures(t, reloads) != before })
		if got := whoami(); got != "two:s" {
			t.Errorf("%s: believed as %s", name, got)
		}
	}
	if !i.metric(t, reloads, `status="success"`) {
		t.Error("the change that was good is not counted")
	}
	replaceFile(t, file, authenticationText(provider, "four:", ""))
	eventually(t, "a good text after bad ones holds", func() bool { return whoami() == "four:s" })
}

// failures is the line of a metric that counts reloads that failed.
func (i *instance) failures(t *testing.T, name string) string {
	t.Helper()
	raw, err := clientset(t, i.Admin()).RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, `status="failure"`) {
			return line
		}
	}
	return ""
}

func TestAuthorizationFollowsItsFile(t *testing.T) {
	const begin = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n- {type: Node, name: node}\n"
	dir := t.TempDir()
	file := writeFile(t, dir, "authorization.yaml", begin)
	i := launchWith(t, filepath.Join(dir, "data"), func(c *Config) { c.AuthorizationConfigFile = file })
	t.Cleanup(i.Stop)
	set := clientset(t, i.ClientConfig("jane"))
	allowed := func() bool {
		_, err := set.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsForbidden(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	if allowed() {
		t.Fatal("allowed by nobody")
	}
	replaceFile(t, file, begin+"- {type: RBAC, name: rbac}\n")
	eventually(t, "RBAC is asked", allowed)
	const reloads = "apiserver_authorization_config_controller_automatic_reloads_total"
	replaceFile(t, file, begin+"- {type: RBAC, name: rbac}\n- {type: ABAC, name: abac}\n")
	eventually(t, "a wrong text is counted", func() bool { return i.metric(t, reloads, `status="failure"`) })
	if !allowed() {
		t.Error("a wrong text took the old one out of force")
	}
	replaceFile(t, file, begin)
	eventually(t, "RBAC is not asked any more", func() bool { return !allowed() })
}

// tokenHook is a webhook that believes the token "good", and counts what it is asked.
func tokenHook(t *testing.T, asked *atomic.Int32) *httptest.Server {
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if json.NewDecoder(r.Body).Decode(&review) != nil || review.APIVersion != "authentication.k8s.io/v1" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		asked.Add(1)
		if review.Spec.Token == "good" {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: "jane", UID: "7", Groups: []string{"devs"}, Extra: map[string]authenticationv1.ExtraValue{"example.com/team": {"a"}},
			}}
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(hook.Close)
	return hook
}

func TestWebhooksAreAskedAboutTokens(t *testing.T) {
	var asked atomic.Int32
	hook, dir := tokenHook(t, &asked), t.TempDir()
	ca := writeFile(t, dir, "hook.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})))
	kubeconfig := writeFile(t, dir, "hook.kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]}`, hook.URL, ca))
	i := launchWith(t, filepath.Join(dir, "data"), func(c *Config) {
		c.AuthenticationWebhookConfigFile, c.AuthenticationWebhookVersion = kubeconfig, "v1"
	})
	t.Cleanup(i.Stop)
	for range 2 {
		r, err := clientset(t, i.bearer("good")).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if u := r.Status.UserInfo; u.Username != "jane" || u.UID != "7" || len(u.Extra["example.com/team"]) != 1 || u.Groups[0] != "devs" {
			t.Errorf("user %+v", u)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times about one token", n)
	}
	_, err := clientset(t, i.bearer("bad")).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("bad token: %v", err)
	}
	// Service accounts' own tokens are not the webhook's business.
	if _, err := clientset(t, i.Admin()).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
}

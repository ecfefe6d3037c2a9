package apiserver

import (
	"encoding/json"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// TestIssuerIsDiscovered verifies a token as somebody who knows nothing but where the server is.
func TestIssuerIsDiscovered(t *testing.T) {
	set := clientset(t, start(t).Admin())
	makeDefaultAccount(t, set, "default")
	made, err := set.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, into any) {
		t.Helper()
		content, err := set.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(content, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	var configuration struct {
		Issuer     string                    `json:"issuer"`
		Algorithms []jose.SignatureAlgorithm `json:"id_token_signing_alg_values_supported"`
	}
	var keys jose.JSONWebKeySet
	get("/.well-known/openid-configuration", &configuration)
	get("/openid/v1/jwks", &keys)
	token, err := jwt.ParseSigned(made.Status.Token, configuration.Algorithms)
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := token.Claims(keys, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != configuration.Issuer || !keys.Keys[0].IsPublic() {
		t.Errorf("issuer %q, not %q; keys %v", claims.Issuer, configuration.Issuer, keys)
	}
}

package authn

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/apiserver/pkg/server/mux"
)

// Where others find out how to verify tokens of service accounts (OpenID Connect Discovery 1.0).
const (
	configurationPath = "/.well-known/openid-configuration"
	keysPath          = "/openid/v1/jwks"
)

// ServeDiscovery tells how to verify the tokens that t issues. address is the host:port by which others reach the server.
func (t *Tokens) ServeDiscovery(m *mux.PathRecorderMux, address string) error {
	configuration, err := json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		Keys          string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{t.issuer, "https://" + address + keysPath, []string{"id_token"}, []string{"public"}, []string{t.verifying.Algorithm}})
	if err != nil {
		return fmt.Errorf("encode discovery of issuer: %w", err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{t.verifying}})
	if err != nil {
		return fmt.Errorf("encode keys of issuer: %w", err)
	}
	m.Handle(configurationPath, document("application/json", configuration))
	m.Handle(keysPath, document("application/jwk-set+json", keys))
	return nil
}

// document never changes while the server runs, and may be kept for an hour.
func document(kind string, content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(content)
	})
}

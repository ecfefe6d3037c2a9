package image

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Keyring holds registry credentials by the place that they are for.
type Keyring struct{ entries []entry }

type entry struct {
	place string // host[:port][/path], the host may hold glob characters in each label
	auth  *runtimev1.AuthConfig
}

// login is one registry of a docker configuration file.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// AddSecret takes the credentials of a secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg;
// secrets of other types hold none.
func (k *Keyring) AddSecret(secret *corev1.Secret) error {
	var logins map[string]login
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		var file struct {
			Auths map[string]login `json:"auths"`
		}
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &file); err != nil {
			return fmt.Errorf("parse %s of secret %s/%s: %w", corev1.DockerConfigJsonKey, secret.Namespace, secret.Name, err)
		}
		logins = file.Auths
	case corev1.SecretTypeDockercfg:
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigKey], &logins); err != nil {
			return fmt.Errorf("parse %s of secret %s/%s: %w", corev1.DockerConfigKey, secret.Namespace, secret.Name, err)
		}
	}
	for server, l := range logins {
		k.add(server, l)
	}
	return nil
}

func (k *Keyring) add(server string, l login) {
	if l.Auth != "" && l.Username == "" {
		if plain, err := base64.StdEncoding.DecodeString(l.Auth); err == nil {
			l.Username, l.Password, _ = strings.Cut(string(plain), ":")
		}
	}
	auth := &runtimev1.AuthConfig{Username: l.Username, Password: l.Password, ServerAddress: server, IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken}
	k.entries = append(k.entries, entry{place: normal(server), auth: auth})
	slices.SortStableFunc(k.entries, func(a, b entry) int { return strings.Compare(b.place, a.place) })
}

// normal strips the scheme and the API version that docker's own keys carry.
func normal(server string) string {
	_, rest, found := strings.Cut(server, "://")
	if !found {
		rest = server
	}
	rest = strings.TrimSuffix(rest, "/")
	for _, version := range []string{"/v1", "/v2"} {
		rest = strings.TrimSuffix(rest, version)
	}
	if rest == "index.docker.io" || rest == "registry-1.docker.io" {
		return "docker.io"
	}
	return rest
}

// Lookup returns the credentials whose place holds the image, the most specific first.
func (k *Keyring) Lookup(image string) []*runtimev1.AuthConfig {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return nil
	}
	var out []*runtimev1.AuthConfig
	for _, e := range k.entries {
		if matches(e.place, reference.Domain(named), reference.Path(named)) {
			out = append(out, e.auth)
		}
	}
	return out
}

func matches(place, domain, repository string) bool {
	host, prefix, _ := strings.Cut(place, "/")
	hostLabels, domainLabels := strings.Split(host, "."), strings.Split(domain, ".")
	if len(hostLabels) != len(domainLabels) {
		return false
	}
	for i := range hostLabels {
		if ok, err := path.Match(hostLabels[i], domainLabels[i]); err != nil || !ok {
			return false
		}
	}
	return prefix == "" || repository == prefix || strings.HasPrefix(repository, prefix+"/")
}

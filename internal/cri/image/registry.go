package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/containerd/v2/core/transfer"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxReason bounds how much of a registry's error is read.
const maxReason = 64 << 10

// Credentials are a user's at a registry. The zero value is nobody.
type Credentials struct {
	Username, Password string
	// Auth is base64 of "username:password", which Docker's configuration files hold; used when Username is empty.
	Auth string
	// IdentityToken is an OAuth2 refresh token, used instead of a password.
	IdentityToken string
	// ServerAddress limits the credentials to one registry, if it is not empty.
	ServerAddress string
}

// at answers what containerd's resolver asks: a user and a secret for host; an empty user means a refresh token.
func (c Credentials) at(host string) (user, secret string, _ error) {
	if c.ServerAddress != "" && registryHost(c.ServerAddress) != registryHost(host) {
		return "", "", nil
	}
	switch {
	case c.Username != "":
		return c.Username, c.Password, nil
	case c.IdentityToken != "":
		return "", c.IdentityToken, nil
	case c.Auth != "":
		data, err := base64.StdEncoding.DecodeString(c.Auth)
		if err != nil {
			return "", "", fmt.Errorf("decode registry credentials: %w", err)
		}
		user, secret, ok := strings.Cut(strings.TrimRight(string(data), "\x00"), ":")
		if !ok {
			return "", "", fmt.Errorf("registry credentials are not base64 of user:password")
		}
		return user, secret, nil
	}
	return "", "", nil
}

// registryHost strips scheme and path, and brings Docker Hub's three names together.
func registryHost(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	address, _, _ = strings.Cut(address, "/")
	switch address {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return address
}

// source fetches one image from its registry or a mirror of that. It implements transfer.ImageFetcher.
type source struct {
	ref      string
	resolver remotes.Resolver
	reason   *reason
}

// newSource reads the registry's configuration. Loopback registries are tried by TLS and then by plain HTTP.
func (s *Store) newSource(ctx context.Context, ref string, c Credentials) *source {
	why := &reason{}
	options := config.HostOptions{
		Credentials: c.at,
		UpdateClient: func(client *http.Client) error {
			client.Transport = why.listen(client.Transport)
			return nil
		},
	}
	if s.config.RegistryConfigDir != "" {
		options.HostDir = config.HostDirFromRoot(s.config.RegistryConfigDir)
	}
	resolver := docker.NewResolver(docker.ResolverOptions{
		Hosts:   config.ConfigureHosts(ctx, options),
		Headers: http.Header{"User-Agent": {"mayfly"}},
	})
	return &source{ref: ref, resolver: resolver, reason: why}
}

func (r *source) String() string { return r.ref }

func (r *source) Resolve(ctx context.Context) (string, ocispec.Descriptor, error) {
	return r.resolver.Resolve(ctx, r.ref)
}

func (r *source) Fetcher(ctx context.Context, ref string) (transfer.Fetcher, error) {
	return r.resolver.Fetcher(ctx, ref)
}

// SetResolverOptions implements transfer.ImageResolverOptionSetter.
func (r *source) SetResolverOptions(options ...transfer.ImageResolverOption) {
	if resolver, ok := r.resolver.(remotes.ResolverWithOptions); ok {
		resolver.SetOptions(options...)
	}
}

// reason listens for the last thing that a registry said against a request, which the resolver drops.
type reason struct {
	mu   sync.Mutex
	text string
}

func (r *reason) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text
}

func (r *reason) listen(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &listener{next, r}
}

type listener struct {
	next   http.RoundTripper
	reason *reason
}

// RoundTrip repeats a refused HEAD as GET, since only that brings the reason along, and what a registry that knows no
// ranges refuses without one: the resolver passes over what it has.
func (l *listener) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && req.Header.Get("Range") != "" {
		resp.Body.Close()
		whole := req.Clone(req.Context())
		whole.Header.Del("Range")
		resp, err = l.next.RoundTrip(whole)
	}
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	if req.Method != http.MethodHead {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason))
		l.note(body)
		rest := resp.Body
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), rest), rest}
		return resp, nil
	}
	again := req.Clone(req.Context())
	again.Method = http.MethodGet
	if explained, err := l.next.RoundTrip(again); err == nil {
		body, _ := io.ReadAll(io.LimitReader(explained.Body, maxReason))
		explained.Body.Close()
		if explained.StatusCode >= http.StatusBadRequest {
			l.note(body)
		}
	}
	return resp, nil
}

// note understands the error body of the OCI distribution specification.
func (l *listener) note(body []byte) {
	var answer struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return
	}
	var parts []string
	for _, e := range answer.Errors {
		part := e.Code
		if e.Message != "" {
			part += ": " + e.Message
		}
		parts = append(parts, part)
	}
	l.reason.mu.Lock()
	defer l.reason.mu.Unlock()
	l.reason.text = strings.Join(parts, "; ")
}

package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

func (a *Agent) kubeletPort() int32 {
	if a.cfg.Server == nil {
		return 0
	}
	if address, ok := a.cfg.Server.Listener.Addr().(*net.TCPAddr); ok {
		return int32(address.Port)
	}
	return 0
}

// serve serves the kubelet API over TLS until ctx ends.
func (a *Agent) serve(ctx context.Context) error {
	pair, err := tls.LoadX509KeyPair(a.cfg.Server.CertFile, a.cfg.Server.KeyFile)
	if err != nil {
		return fmt.Errorf("load kubelet certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if file := a.cfg.Server.ClientCAFile; file != "" {
		pool, err := cert.NewPool(file)
		if err != nil {
			return fmt.Errorf("load kubelet client certificate authorities: %w", err)
		}
		config.ClientCAs, config.ClientAuth = pool, tls.VerifyClientCertIfGiven
	}
	server := &http.Server{
		Handler: a.guard(a.handler), TLSConfig: config, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ServeTLS(a.cfg.Server.Listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve kubelet API: %w", err)
	}
	return nil
}

// guard lets only callers through whom the API server knows and allows.
func (a *Agent) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := a.authenticate(r)
		if err != nil {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		verb, subresource := attributes(r)
		allowed, err := a.authorize(r.Context(), user, verb, subresource)
		if err != nil {
			http.Error(w, "Authorization error", http.StatusInternalServerError)
			return
		}
		if !allowed {
			http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource=%s)", user.Username, verb, subresource), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate takes a verified client certificate, or else asks the API server about the bearer token.
func (a *Agent) authenticate(r *http.Request) (authenticationv1.UserInfo, error) {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		subject := r.TLS.PeerCertificates[0].Subject
		return authenticationv1.UserInfo{Username: subject.CommonName, Groups: append(subject.Organization, "system:authenticated")}, nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return authenticationv1.UserInfo{}, errors.New("no credentials")
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := a.client.AuthenticationV1().TokenReviews().Create(r.Context(), review, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	if !answer.Status.Authenticated {
		return authenticationv1.UserInfo{}, errors.New("token is not valid")
	}
	return answer.Status.User, nil
}

func (a *Agent) authorize(ctx context.Context, user authenticationv1.UserInfo, verb, subresource string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Version: "v1", Resource: "nodes", Subresource: subresource, Name: a.cfg.NodeName},
	}}
	answer, err := a.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// attributes are the verb and the subresource of nodes that a request needs, by the kubelet's rule.
func attributes(r *http.Request) (verb, subresource string) {
	verbs := map[string]string{http.MethodGet: "get", http.MethodHead: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}
	subresource = "proxy"
	switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
	case "stats":
		subresource = "stats"
	case "metrics":
		subresource = "metrics"
	case "logs":
		subresource = "log"
	case "healthz":
		subresource = "healthz"
	case "pods", "runningpods":
		subresource = "pods"
	case "exec", "attach", "portForward", "run":
		return "create", subresource // a GET that upgrades does as much as a POST
	}
	return verbs[r.Method], subresource
}

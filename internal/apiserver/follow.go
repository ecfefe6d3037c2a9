package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	authenticationmetrics "k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	authorizationmetrics "k8s.io/apiserver/pkg/server/options/authorizationconfig/metrics"
	"k8s.io/apiserver/pkg/util/filesystem"

	"github.com/mayfly-run/mayfly/internal/apiserver/authn"
	"github.com/mayfly-run/mayfly/internal/apiserver/authz"
)

// rereadInterval is how often a file is read where the kernel does not tell of its changes.
const rereadInterval = time.Minute

// closer is what cannot fail to close.
type closer func()

// Close implements io.Closer.
func (c closer) Close() error {
	c()
	return nil
}

// followed is a configuration file whose changes hold without a restart.
type followed struct {
	what, file string
	// replace puts another text into force, or says why that one cannot be.
	replace func(ctx context.Context, text []byte) error
	// succeeded and failed count.
	succeeded func(server, text string)
	failed    func(server string)
}

// follow puts into force what the file says later than text, until the server closes. What is wrong then is logged
// and counted, and what was in force before stays so.
func (s *Server) follow(ctx context.Context, f followed, text string) {
	changed := func() {
		now, err := os.ReadFile(f.file)
		if err == nil && string(now) == text {
			return
		}
		if err == nil {
			if err = f.replace(ctx, now); !authn.Temporary(err) {
				text = string(now)
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.failed(s.id)
			slog.Error("configuration has changed and cannot be used: the old one stays in force", "configuration", f.what, "file", f.file, "err", err)
			return
		}
		f.succeeded(s.id, text)
		slog.Info("configuration has changed", "configuration", f.what, "file", f.file)
	}
	go filesystem.WatchUntil(ctx, rereadInterval, f.file, changed, func(err error) {
		slog.Warn("watch configuration", "configuration", f.what, "file", f.file, "err", err)
	})
}

// lasting is a context that ends when the server closes.
func (s *Server) lasting(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.closers = append(s.closers, closer(cancel))
	return ctx
}

func (s *Server) configuredAuthentication(ctx context.Context) (*authn.Configuration, error) {
	file := s.cfg.AuthenticationConfigFile
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("authentication configuration: %w", err)
	}
	ctx = s.lasting(ctx)
	c, err := authn.NewConfiguration(ctx, text, s.cfg.ServiceAccountIssuer)
	if err != nil {
		return nil, fmt.Errorf("authentication configuration %s: %w", file, err)
	}
	authenticationmetrics.RegisterMetrics()
	authenticationmetrics.RecordAuthenticationConfigLastConfigInfo(s.id, string(text))
	s.follow(ctx, followed{
		"authentication", file, c.Replace,
		authenticationmetrics.RecordAuthenticationConfigAutomaticReloadSuccess, authenticationmetrics.RecordAuthenticationConfigAutomaticReloadFailure,
	}, string(text))
	return c, nil
}

func (s *Server) configuredAuthorization(ctx context.Context, known map[string]authorizer.Authorizer) (*authz.Configuration, error) {
	file := s.cfg.AuthorizationConfigFile
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("authorization configuration: %w", err)
	}
	c, err := authz.NewConfiguration(text, known)
	if err != nil {
		return nil, fmt.Errorf("authorization configuration %s: %w", file, err)
	}
	authorizationmetrics.RegisterMetrics()
	authorizationmetrics.RecordAuthorizationConfigLastConfigInfo(s.id, string(text))
	s.follow(s.lasting(ctx), followed{
		"authorization", file, func(_ context.Context, text []byte) error { return c.Replace(text) },
		authorizationmetrics.RecordAuthorizationConfigAutomaticReloadSuccess, authorizationmetrics.RecordAuthorizationConfigAutomaticReloadFailure,
	}, string(text))
	return c, nil
}

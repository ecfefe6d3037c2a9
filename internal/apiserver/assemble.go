package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/kubernetes"

	"github.com/mayfly-run/mayfly/internal/apiserver/client"
	"github.com/mayfly-run/mayfly/internal/apiserver/openapi"
	"github.com/mayfly-run/mayfly/internal/apiserver/scheme"
	"github.com/mayfly-run/mayfly/internal/apiserver/storage"
	"github.com/mayfly-run/mayfly/internal/informer"
)

// open makes the configuration while the store opens, since etcd waits for its disk and for itself.
func (s *Server) open(ctx context.Context) (cfg *genericapiserver.Config, err error) {
	if s.scheme, err = scheme.New(); err != nil {
		return nil, err
	}
	if s.external, err = scheme.External(); err != nil {
		return nil, err
	}
	s.codecs = serializer.NewCodecFactory(s.scheme)
	if s.client, err = kubernetes.NewForConfig(s.loop.Config(user.APIServerUser, user.SystemPrivilegedGroup)); err != nil {
		return nil, fmt.Errorf("loopback client: %w", err)
	}
	s.informers = informer.NewFactory(informer.Config{Client: s.client})
	opening, openCtx := errgroup.WithContext(ctx)
	opening.Go(func() (err error) {
		s.store, err = storage.Open(openCtx, storage.Config{
			Dir: s.cfg.etcdDir(), Servers: s.cfg.EtcdServers,
			CAFile: s.cfg.EtcdCAFile, CertFile: s.cfg.EtcdCertFile, KeyFile: s.cfg.EtcdKeyFile,
			Scheme: s.scheme, Codecs: s.codecs, EncryptionFile: s.cfg.EncryptionConfigFile,
		})
		return err
	})
	opening.Go(func() (err error) {
		cfg, err = s.genericConfig(ctx)
		return err
	})
	return cfg, opening.Wait()
}

func (s *Server) assemble(cfg *genericapiserver.Config) (err error) {
	cfg.RESTOptionsGetter = s.store
	if s.generic, err = cfg.Complete(nil).New("mayfly", genericapiserver.NewEmptyDelegate()); err != nil {
		return err
	}
	s.generic.ShutdownTimeout = drainTimeout
	if err := s.install(cfg); err != nil {
		return err
	}
	// Server-side apply has its models now; the documents build their own when asked.
	cfg.OpenAPIV3Config.Definitions = nil
	openapi.NewDocuments(s.external, s.generic.Handler.GoRestfulContainer, cfg.OpenAPIV3Config.Info.Version).Install(s.generic.Handler.NonGoRestfulMux)
	answerAbsent(s.generic.Handler.NonGoRestfulMux)
	if s.tokens != nil {
		if err := s.tokens.ServeDiscovery(s.generic.Handler.NonGoRestfulMux, cfg.ExternalAddress); err != nil {
			return err
		}
	}
	s.loop.Serve(s.generic.Handler.FullHandlerChain)
	return nil
}

func (s *Server) genericConfig(ctx context.Context) (*genericapiserver.Config, error) {
	cfg := genericapiserver.NewConfig(s.codecs)
	serving, ca, err := s.certificates()
	if err != nil {
		return nil, err
	}
	cfg.SecureServing = &genericapiserver.SecureServingInfo{
		Listener: s.cfg.Listener, Cert: serving, ClientCA: ca, HTTP2MaxStreamsPerConnection: 1000,
		MinTLSVersion: tls.VersionTLS12, CipherSuites: cipherSuites(),
	}
	s.id = cfg.APIServerID
	cfg.ExternalAddress = s.cfg.Listener.Addr().String()
	cfg.LoopbackClientConfig = s.loop.Config(user.APIServerUser, user.SystemPrivilegedGroup)
	cfg.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	cfg.OpenAPIV3Config = openapi.V3(s.external)
	cfg.SkipOpenAPIInstallation = true
	cfg.EnableProfiling = false
	cfg.ShutdownWatchTerminationGracePeriod = drainTimeout
	if s.cfg.RequestTimeout > 0 {
		cfg.RequestTimeout = s.cfg.RequestTimeout
	}
	cfg.LongRunningFunc = genericfilters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"),
	)
	cfg.HealthzChecks = append(cfg.HealthzChecks, s.etcdCheck())
	cfg.ReadyzChecks = append(cfg.ReadyzChecks, s.etcdCheck(), s.bootstrapCheck())
	if cfg.Authentication.Authenticator, err = s.authenticator(ctx, ca); err != nil {
		return nil, err
	}
	cfg.Authentication.APIAudiences = []string{s.cfg.ServiceAccountIssuer}
	if cfg.Authorization.Authorizer, err = s.authorizer(ctx); err != nil {
		return nil, err
	}
	if cfg.AdmissionControl, err = s.admission(cfg.Authorization.Authorizer); err != nil {
		return nil, err
	}
	if err := s.audit(cfg); err != nil {
		return nil, err
	}
	if err := s.trace(ctx, cfg); err != nil {
		return nil, err
	}
	cfg.MaxRequestsInFlight, cfg.MaxMutatingRequestsInFlight = 0, 0 // which would count this process's own
	cfg.BuildHandlerChainFunc = func(h http.Handler, c *genericapiserver.Config) http.Handler {
		h = endStalled(client.Translate(h, s.lookup), c.RequestTimeout)
		return client.With(genericapiserver.DefaultBuildHandlerChain(limitInFlight(h, c.LongRunningFunc), c))
	}
	return cfg, nil
}

// cipherSuites are those for TLS 1.2 that hide what is said and cannot be opened later; those of 1.3 all are such.
func cipherSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// certificates are read again when their files change.
func (s *Server) certificates() (dynamiccertificates.CertKeyContentProvider, dynamiccertificates.CAContentProvider, error) {
	serving, err := dynamiccertificates.NewDynamicServingContentFromFiles("serving-cert", s.cfg.ServingCertFile, s.cfg.ServingKeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("serving certificate: %w", err)
	}
	ca, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", s.cfg.ClientCAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("client authority: %w", err)
	}
	return serving, ca, nil
}

func (s *Server) etcdCheck() healthz.HealthChecker {
	return healthz.NamedCheck("etcd", func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		return s.store.Ping(ctx)
	})
}

func (s *Server) bootstrapCheck() healthz.HealthChecker {
	return healthz.NamedCheck("bootstrap", func(*http.Request) error {
		select {
		case <-s.ready:
			return nil
		default:
			return fmt.Errorf("not finished")
		}
	})
}

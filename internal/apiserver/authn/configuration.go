package authn

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

const (
	// issuerTimeout is how long the issuers of a new configuration have to hand out their keys.
	issuerTimeout = time.Minute
	// issuerInterval is how often they are asked whether they have.
	issuerInterval = 100 * time.Millisecond
)

// errNotReady says that an issuer has not handed out its keys. It may yet.
var errNotReady = errors.New("issuer does not hand out its keys")

// Configuration is what an AuthenticationConfiguration of apiserver.config.k8s.io says: whose JWTs are believed
// besides, and where requests may be anonymous. It is a token authenticator that can be given another text while it
// is asked.
type Configuration struct {
	// Anonymous is nil where the text says nothing of it.
	Anonymous *apiserverapi.AnonymousAuthConfig

	ctx     context.Context // ends the fetching of keys
	own     string
	issuers atomic.Pointer[issuers]
}

// issuers are those of one text.
type issuers struct {
	token authenticator.Token
	each  []oidc.AuthenticatorTokenWithHealthCheck
	stop  context.CancelFunc
}

// NewConfiguration reads the text. Keys of issuers are fetched until ctx ends; own is the issuer of service-account
// tokens, which no other may claim to be, and the audience of tokens that name none.
func NewConfiguration(ctx context.Context, text []byte, own string) (*Configuration, error) {
	c := &Configuration{ctx: ctx, own: own}
	read, err := c.read(text)
	if err != nil {
		return nil, err
	}
	c.Anonymous = read.Anonymous
	now, err := c.make(read)
	if err != nil {
		return nil, err
	}
	c.issuers.Store(now)
	return c, nil
}

// Replace believes the issuers of another text from the moment that all of them have handed out their keys. On an
// error the old ones are believed as before; it is worth trying again when [Temporary] says so. Anonymous is fixed.
func (c *Configuration) Replace(ctx context.Context, text []byte) error {
	read, err := c.read(text)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(c.Anonymous, read.Anonymous) {
		return errors.New("anonymous: changing it takes a restart")
	}
	now, err := c.make(read)
	if err != nil {
		return err
	}
	if err := now.await(ctx); err != nil {
		now.stop()
		return err
	}
	c.issuers.Swap(now).stop()
	return nil
}

// Temporary tells whether the same text may be good later.
func Temporary(err error) bool { return errors.Is(err, errNotReady) }

// AuthenticateToken implements authenticator.Token.
func (c *Configuration) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return c.issuers.Load().token.AuthenticateToken(ctx, token)
}

// read decodes a text of any version that there is, refusing fields that it does not have.
func (c *Configuration) read(text []byte) (*apiserverapi.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	o, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), text)
	if err != nil {
		return nil, err
	}
	read, ok := o.(*apiserverapi.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("holds a %T", o)
	}
	return read, validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), read, []string{c.own}).ToAggregate()
}

// make begins to fetch the keys of all issuers.
func (c *Configuration) make(read *apiserverapi.AuthenticationConfiguration) (*issuers, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	i := &issuers{stop: cancel}
	var tokens []authenticator.Token
	for _, j := range read.JWT {
		t, err := issuer(ctx, j, c.own)
		if err != nil {
			cancel()
			return nil, fmt.Errorf("issuer %s: %w", j.Issuer.URL, err)
		}
		i.each, tokens = append(i.each, t), append(tokens, authenticator.WrapAudienceAgnosticToken(authenticator.Audiences{c.own}, t))
	}
	i.token = union.New(tokens...)
	return i, nil
}

func issuer(ctx context.Context, j apiserverapi.JWTAuthenticator, own string) (oidc.AuthenticatorTokenWithHealthCheck, error) {
	options := oidc.Options{
		JWTAuthenticator: j, Compiler: authenticationcel.NewDefaultCompiler(),
		DisallowedIssuers: []string{own}, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
	}
	if j.Issuer.CertificateAuthority != "" {
		ca, err := dynamiccertificates.NewStaticCAContent("issuer", []byte(j.Issuer.CertificateAuthority))
		if err != nil {
			return nil, fmt.Errorf("authority: %w", err)
		}
		options.CAContentProvider = ca
	}
	return oidc.New(ctx, options)
}

// await waits until every issuer has handed out its keys.
func (i *issuers) await(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, issuerInterval, issuerTimeout, true, func(context.Context) (bool, error) {
		for _, t := range i.each {
			if last = t.HealthCheck(); last != nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("%w within %s: %w", errNotReady, issuerTimeout, last)
	}
	return nil
}

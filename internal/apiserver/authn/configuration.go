package authn

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

// Configuration is what an AuthenticationConfiguration of apiserver.config.k8s.io says: whose tokens are believed
// besides, and where requests may be anonymous.
type Configuration struct {
	JWT       []authenticator.Token
	Anonymous *apiserverapi.AnonymousAuthConfig
}

// LoadConfiguration reads the file. Keys of issuers are fetched until ctx ends; own is the issuer of service-account
// tokens, which no other may claim to be, and the audience of tokens that name none.
func LoadConfiguration(ctx context.Context, file, own string) (Configuration, error) {
	c, err := decode(file)
	if err != nil {
		return Configuration{}, fmt.Errorf("authentication configuration %s: %w", file, err)
	}
	out := Configuration{Anonymous: c.Anonymous}
	if len(c.JWT) == 0 {
		return out, nil
	}
	compiler := authenticationcel.NewDefaultCompiler()
	disallowed := []string{own}
	if err := validation.ValidateAuthenticationConfiguration(compiler, c, disallowed).ToAggregate(); err != nil {
		return Configuration{}, fmt.Errorf("authentication configuration %s: %w", file, err)
	}
	for _, j := range c.JWT {
		options := oidc.Options{
			JWTAuthenticator: j, Compiler: compiler, DisallowedIssuers: disallowed, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
		}
		if j.Issuer.CertificateAuthority != "" {
			if options.CAContentProvider, err = dynamiccertificates.NewStaticCAContent("issuer", []byte(j.Issuer.CertificateAuthority)); err != nil {
				return Configuration{}, fmt.Errorf("authority of issuer %s: %w", j.Issuer.URL, err)
			}
		}
		t, err := oidc.New(ctx, options)
		if err != nil {
			return Configuration{}, fmt.Errorf("issuer %s: %w", j.Issuer.URL, err)
		}
		out.JWT = append(out.JWT, authenticator.WrapAudienceAgnosticToken(authenticator.Audiences{own}, t))
	}
	return out, nil
}

// decode reads one file in any version that there is, refusing fields that it does not have.
func decode(file string) (*apiserverapi.AuthenticationConfiguration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	o, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), data)
	if err != nil {
		return nil, err
	}
	c, ok := o.(*apiserverapi.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("holds a %T", o)
	}
	return c, nil
}

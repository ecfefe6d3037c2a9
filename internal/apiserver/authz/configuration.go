package authz

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	"k8s.io/apiserver/pkg/authorization/union"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
)

// webhookRetry is the first wait before a webhook that did not answer is asked again.
const webhookRetry = 500 * time.Millisecond

// Configuration is an authorizer that asks those whom an AuthorizationConfiguration of apiserver.config.k8s.io lists,
// in its order. It can be given another text while it is asked.
type Configuration struct {
	known map[string]authorizer.Authorizer
	now   atomic.Pointer[authorizer.Authorizer]
}

// NewConfiguration reads the text. known are the authorizers that need no configuration, by type.
func NewConfiguration(text []byte, known map[string]authorizer.Authorizer) (*Configuration, error) {
	c := &Configuration{known: known}
	return c, c.Replace(text)
}

// Replace asks those of another text from now on, or on an error those of the old one as before.
func (c *Configuration) Replace(text []byte) error {
	read, err := load.LoadFromData(text)
	if err != nil {
		return err
	}
	compiler := authorizationcel.NewDefaultCompiler()
	types := sets.New(string(apiserverapi.TypeWebhook)).Insert(slices.Collect(maps.Keys(c.known))...)
	repeatable := sets.New(string(apiserverapi.TypeWebhook))
	if err := validation.ValidateAuthorizationConfiguration(compiler, nil, read, types, repeatable).ToAggregate(); err != nil {
		return err
	}
	var all []union.NamedAuthorizer
	for _, a := range read.Authorizers {
		named := union.NamedAuthorizer{AuthorizerName: a.Name, Authorizer: c.known[string(a.Type)]}
		if a.Type == apiserverapi.TypeWebhook {
			if named.Authorizer, err = webhookAuthorizer(a.Name, a.Webhook, compiler); err != nil {
				return fmt.Errorf("webhook %s: %w", a.Name, err)
			}
		}
		all = append(all, named)
	}
	now, err := union.New(all...)
	if err != nil {
		return err
	}
	c.now.Store(&now)
	return nil
}

// Authorize decides for authorizer.AuthorizerFunc.
func (c *Configuration) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	return (*c.now.Load()).Authorize(ctx, a)
}

func webhookAuthorizer(name string, c *apiserverapi.WebhookConfiguration, compiler authorizationcel.Compiler) (authorizer.Authorizer, error) {
	if c.ConnectionInfo.Type != apiserverapi.AuthorizationWebhookConnectionInfoTypeKubeConfigFile {
		return nil, fmt.Errorf("connection %s: this server runs in no cluster; use %s", c.ConnectionInfo.Type, apiserverapi.AuthorizationWebhookConnectionInfoTypeKubeConfigFile)
	}
	client, err := webhookutil.LoadKubeconfig(*c.ConnectionInfo.KubeConfigFile, nil)
	if err != nil {
		return nil, err
	}
	client.Timeout = c.Timeout.Duration
	onError := authorizer.DecisionNoOpinion
	if c.FailurePolicy == apiserverapi.FailurePolicyDeny {
		onError = authorizer.DecisionDeny
	}
	kept := func(ttl time.Duration, cached bool) time.Duration {
		if !cached {
			return 0
		}
		return ttl
	}
	return webhook.New(client, c.SubjectAccessReviewVersion,
		kept(c.AuthorizedTTL.Duration, c.CacheAuthorizedRequests), kept(c.UnauthorizedTTL.Duration, c.CacheUnauthorizedRequests),
		webhookutil.DefaultRetryBackoffWithInitialDelay(webhookRetry), onError, c.MatchConditions, name,
		authorizerfactory.NewDelegatingAuthorizerMetrics(), compiler)
}

package authz

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
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

// LoadConfiguration makes the authorizers that an AuthorizationConfiguration of apiserver.config.k8s.io lists, in its
// order. known are those that need no configuration, by type.
func LoadConfiguration(file string, known map[string]authorizer.Authorizer) ([]union.NamedAuthorizer, error) {
	c, err := load.LoadFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("authorization configuration %s: %w", file, err)
	}
	compiler := authorizationcel.NewDefaultCompiler()
	types := sets.New(string(apiserverapi.TypeWebhook))
	for name := range known {
		types.Insert(name)
	}
	repeatable := sets.New(string(apiserverapi.TypeWebhook))
	if err := validation.ValidateAuthorizationConfiguration(compiler, field.NewPath(""), c, types, repeatable).ToAggregate(); err != nil {
		return nil, fmt.Errorf("authorization configuration %s: %w", file, err)
	}
	var all []union.NamedAuthorizer
	for _, a := range c.Authorizers {
		named := union.NamedAuthorizer{AuthorizerName: a.Name, Authorizer: known[string(a.Type)]}
		if a.Type == apiserverapi.TypeWebhook {
			if named.Authorizer, err = webhookAuthorizer(a.Name, a.Webhook, compiler); err != nil {
				return nil, fmt.Errorf("authorization webhook %s: %w", a.Name, err)
			}
		}
		all = append(all, named)
	}
	return all, nil
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

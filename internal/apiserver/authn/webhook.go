package authn

import (
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
)

// verdictLifetime is how long the verdict of a webhook about a token is kept; kube-apiserver keeps it as long.
const verdictLifetime = 2 * time.Minute

// NewWebhook asks the webhook of a kubeconfig about tokens, by TokenReviews of authentication.k8s.io in the version,
// v1 or v1beta1. own is the audience of tokens that the webhook names none for.
func NewWebhook(kubeconfig, version, own string) (authenticator.Token, error) {
	client, err := webhookutil.LoadKubeconfig(kubeconfig, nil)
	if err != nil {
		return nil, fmt.Errorf("authentication webhook %s: %w", kubeconfig, err)
	}
	t, err := webhook.New(client, version, authenticator.Audiences{own}, *webhook.DefaultRetryBackoff())
	if err != nil {
		return nil, fmt.Errorf("authentication webhook %s: %w", kubeconfig, err)
	}
	return cache.New(t, false, verdictLifetime, verdictLifetime), nil
}

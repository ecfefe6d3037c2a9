package authn

import (
	"context"
	"crypto/subtle"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	bootstrapUser       = "system:bootstrap:"
	bootstrapGroup      = "system:bootstrappers"
	bootstrapSecret     = "bootstrap-token-" // and the token's ID
	bootstrapTokenParts = 3                  // the whole, the ID and the secret
)

// bootstrapTokens believes the tokens that secrets of the type bootstrap.kubernetes.io/token in kube-system hold: "id.secret", where both are in
// the secret with what they are good for. Their format is that of
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/.
type bootstrapTokens struct {
	lookup        Lookup
	token, groups *regexp.Regexp
}

// NewBootstrapTokens returns the authenticator of bootstrap tokens.
func NewBootstrapTokens(lookup Lookup) authenticator.Token {
	return &bootstrapTokens{
		lookup: lookup,
		token:  regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`),
		groups: regexp.MustCompile(`\A` + bootstrapGroup + `:[a-z0-9:-]{0,255}[a-z0-9]\z`),
	}
}

// AuthenticateToken implements authenticator.Token. A token that is not good is not one of these: others may know it.
func (b *bootstrapTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	parts := b.token.FindStringSubmatch(token)
	if len(parts) != bootstrapTokenParts {
		return nil, false, nil
	}
	id, secret := parts[1], parts[2]
	s, err := b.lookup.Secret(ctx, metav1.NamespaceSystem, bootstrapSecret+id)
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read bootstrap token: %w", err)
	}
	if !good(s, id, secret, time.Now()) {
		return nil, false, nil
	}
	groups := []string{bootstrapGroup}
	for g := range strings.SplitSeq(string(s.Data["auth-extra-groups"]), ",") {
		if g == "" || slices.Contains(groups, g) {
			continue
		}
		if !b.groups.MatchString(g) {
			return nil, false, nil
		}
		groups = append(groups, g)
	}
	slices.Sort(groups)
	return &authenticator.Response{User: &user.DefaultInfo{Name: bootstrapUser + id, Groups: groups}}, true, nil
}

func good(s *corev1.Secret, id, secret string, now time.Time) bool {
	switch {
	case s.DeletionTimestamp != nil, s.Type != corev1.SecretTypeBootstrapToken:
	case string(s.Data["token-id"]) != id, string(s.Data["usage-bootstrap-authentication"]) != "true":
	case subtle.ConstantTimeCompare(s.Data["token-secret"], []byte(secret)) != 1:
	default:
		end := string(s.Data["expiration"])
		if end == "" {
			return true
		}
		t, err := time.Parse(time.RFC3339, end)
		return err == nil && now.Before(t)
	}
	return false
}

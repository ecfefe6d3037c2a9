package authn

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// oneSecret is all that there is.
type oneSecret struct {
	Lookup
	secret *corev1.Secret
}

func (o oneSecret) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	if namespace != o.secret.Namespace || name != o.secret.Name {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return o.secret, nil
}

func TestBootstrapTokens(t *testing.T) {
	const token = "abcdef.0123456789abcdef"
	in := func(d time.Duration) []byte { return []byte(time.Now().Add(d).Format(time.RFC3339)) }
	for name, c := range map[string]struct {
		token  string
		change func(*corev1.Secret)
		groups []string // nil is not believed
	}{
		"good": {token, func(*corev1.Secret) {}, []string{"system:bootstrappers"}},
		"more groups": {token, func(s *corev1.Secret) {
			s.Data["auth-extra-groups"] = []byte("system:bootstrappers:a,system:bootstrappers:a:b")
		}, []string{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:a:b"}},
		"not yet over":    {token, func(s *corev1.Secret) { s.Data["expiration"] = in(time.Hour) }, []string{"system:bootstrappers"}},
		"over":            {token, func(s *corev1.Secret) { s.Data["expiration"] = in(-time.Hour) }, nil},
		"no date":         {token, func(s *corev1.Secret) { s.Data["expiration"] = []byte("soon") }, nil},
		"forbidden group": {token, func(s *corev1.Secret) { s.Data["auth-extra-groups"] = []byte("system:masters") }, nil},
		"other secret":    {"abcdef.0123456789abcdee", func(*corev1.Secret) {}, nil},
		"other name":      {"abcdee.0123456789abcdef", func(*corev1.Secret) {}, nil},
		"other ID inside": {token, func(s *corev1.Secret) { s.Data["token-id"] = []byte("abcdee") }, nil},
		"other use":       {token, func(s *corev1.Secret) { delete(s.Data, "usage-bootstrap-authentication") }, nil},
		"other type":      {token, func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, nil},
		"other namespace": {token, func(s *corev1.Secret) { s.Namespace = "default" }, nil},
		"being deleted":   {token, func(s *corev1.Secret) { now := metav1.Now(); s.DeletionTimestamp = &now }, nil},
		"no token":        {"x", func(*corev1.Secret) {}, nil},
	} {
		s := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"}, Type: corev1.SecretTypeBootstrapToken,
			Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-authentication": []byte("true")},
		}
		c.change(s)
		r, ok, err := NewBootstrapTokens(oneSecret{secret: s}).AuthenticateToken(t.Context(), c.token)
		if err != nil || ok != (c.groups != nil) {
			t.Errorf("%s: %t %v", name, ok, err)
			continue
		}
		if ok {
			if d := cmp.Diff(c.groups, r.User.GetGroups()); d != "" || r.User.GetName() != "system:bootstrap:abcdef" {
				t.Errorf("%s: %s %s", name, r.User.GetName(), d)
			}
		}
	}
}

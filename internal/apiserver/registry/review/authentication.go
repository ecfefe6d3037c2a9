package review

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Authenticate judges a bearer token.
type Authenticate func(ctx context.Context, token string) (*authenticator.Response, bool, error)

// Authentication are TokenReview and SelfSubjectReview.
func Authentication(judge Authenticate) map[string]rest.Storage {
	return map[string]rest.Storage{
		"tokenreviews": &Review[authenticationv1.TokenReview, *authenticationv1.TokenReview]{
			singular: "tokenreview",
			answer:   func(ctx context.Context, r *authenticationv1.TokenReview) error { return tokenReview(ctx, judge, r) },
		},
		"selfsubjectreviews": &Review[authenticationv1.SelfSubjectReview, *authenticationv1.SelfSubjectReview]{
			singular: "selfsubjectreview", answer: selfSubjectReview,
		},
	}
}

func tokenReview(ctx context.Context, judge Authenticate, r *authenticationv1.TokenReview) error {
	if r.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	if len(r.Spec.Audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, r.Spec.Audiences)
	}
	response, ok, err := judge(ctx, r.Spec.Token)
	r.Status = authenticationv1.TokenReviewStatus{Authenticated: ok}
	if err != nil {
		r.Status.Error = err.Error()
	}
	if ok && response.User != nil {
		r.Status.User = userInfo(response.User)
		r.Status.Audiences = response.Audiences
	}
	return nil
}

func selfSubjectReview(ctx context.Context, r *authenticationv1.SelfSubjectReview) error {
	u, err := requester(ctx)
	if err != nil {
		return err
	}
	r.Status.UserInfo = userInfo(u)
	return nil
}

func userInfo(u user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups()}
	for k, v := range u.GetExtra() {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[k] = v
	}
	return info
}

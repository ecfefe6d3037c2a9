package authn

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/util/keyutil"
)

// leeway forgives clocks that differ.
const leeway = time.Minute

// Lookup reads what tokens are bound to.
type Lookup interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	Node(ctx context.Context, name string) (*corev1.Node, error)
}

// Tokens issues and verifies the tokens of service accounts.
type Tokens struct {
	issuer string
	signer jose.Signer
	// verifying is the public key as others may have it.
	verifying jose.JSONWebKey
	lookup    Lookup
}

// NewTokens signs with the private key in keyFile (PEM; ECDSA or RSA).
func NewTokens(keyFile, issuer string, lookup Lookup) (*Tokens, error) {
	key, err := keyutil.PrivateKeyFromFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("service-account key %s: %w", keyFile, err)
	}
	t := &Tokens{issuer: issuer, lookup: lookup}
	var algorithm jose.SignatureAlgorithm
	var public crypto.PublicKey
	switch k := key.(type) {
	case *rsa.PrivateKey:
		algorithm, public = jose.RS256, &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
		if algorithm, err = curve(k); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("service-account key %s: unsupported %T", keyFile, key)
	}
	id, err := keyID(public)
	if err != nil {
		return nil, err
	}
	t.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(algorithm)}}, nil)
	if err != nil {
		return nil, fmt.Errorf("service-account signer: %w", err)
	}
	t.verifying = jose.JSONWebKey{Key: public, KeyID: id, Algorithm: string(algorithm), Use: "sig"}
	return t, nil
}

func curve(k *ecdsa.PrivateKey) (jose.SignatureAlgorithm, error) {
	switch k.Curve.Params().BitSize {
	case 256:
		return jose.ES256, nil
	case 384:
		return jose.ES384, nil
	case 521:
		return jose.ES512, nil
	}
	return "", errors.New("service-account key: unsupported curve " + k.Curve.Params().Name)
}

// keyID names a public key by its hash.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("service-account public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Issuer is the iss of every token, and the audience of those that name none.
func (t *Tokens) Issuer() string { return t.issuer }

type reference struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

type binding struct {
	Namespace string     `json:"namespace,omitempty"`
	Account   reference  `json:"serviceaccount"`
	Pod       *reference `json:"pod,omitempty"`
	Secret    *reference `json:"secret,omitempty"`
	Node      *reference `json:"node,omitempty"`
}

type private struct {
	Kubernetes binding `json:"kubernetes.io"`
}

// Bound is what a token ends with, besides its service account; nil fields bind to nothing.
type Bound struct {
	Pod    *corev1.Pod
	Secret *corev1.Secret
	Node   *corev1.Node
}

// Issue makes a token of account for the audiences that lasts for the lifetime.
func (t *Tokens) Issue(account *corev1.ServiceAccount, bound Bound, audiences []string, lifetime time.Duration) (string, error) {
	now := time.Now()
	claims := jwt.Claims{
		Issuer: t.issuer, Subject: serviceaccount.MakeUsername(account.Namespace, account.Name),
		Audience: audiences, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(lifetime)),
	}
	k := binding{Namespace: account.Namespace, Account: reference{account.Name, string(account.UID)}}
	if bound.Pod != nil {
		k.Pod = &reference{bound.Pod.Name, string(bound.Pod.UID)}
	}
	if bound.Secret != nil {
		k.Secret = &reference{bound.Secret.Name, string(bound.Secret.UID)}
	}
	if bound.Node != nil {
		k.Node = &reference{bound.Node.Name, string(bound.Node.UID)}
	}
	token, err := jwt.Signed(t.signer).Claims(claims).Claims(private{k}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// AuthenticateToken implements authenticator.Token. Tokens of other issuers are not ours to judge.
func (t *Tokens) AuthenticateToken(ctx context.Context, raw string) (*authenticator.Response, bool, error) {
	if strings.Count(raw, ".") != 2 {
		return nil, false, nil
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512})
	if err != nil {
		return nil, false, nil
	}
	var claims jwt.Claims
	var k private
	if err := token.Claims(t.verifying.Key, &claims, &k); err != nil {
		return nil, false, errors.New("invalid signature")
	}
	if claims.Issuer != t.issuer {
		return nil, false, nil
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{Issuer: t.issuer, Time: time.Now()}, leeway); err != nil {
		return nil, false, fmt.Errorf("service account token: %w", err)
	}
	audiences, err := t.audiences(ctx, claims.Audience)
	if err != nil {
		return nil, false, err
	}
	u, err := t.holder(ctx, k.Kubernetes, claims.ID)
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: u, Audiences: audiences}, true, nil
}

func (t *Tokens) audiences(ctx context.Context, claimed []string) (authenticator.Audiences, error) {
	if len(claimed) == 0 {
		claimed = []string{t.issuer}
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = authenticator.Audiences{t.issuer}
	}
	common := wanted.Intersect(claimed)
	if len(common) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", claimed, wanted)
	}
	return common, nil
}

// holder checks that everything that the token is bound to still exists.
func (t *Tokens) holder(ctx context.Context, k binding, id string) (user.Info, error) {
	account, err := t.lookup.ServiceAccount(ctx, k.Namespace, k.Account.Name)
	if err != nil || account.DeletionTimestamp != nil || string(account.UID) != k.Account.UID {
		return nil, errors.New("service account has been deleted")
	}
	extra := map[string][]string{user.CredentialIDKey: {"JTI=" + id}}
	if k.Pod != nil {
		pod, err := t.lookup.Pod(ctx, k.Namespace, k.Pod.Name)
		if err != nil || string(pod.UID) != k.Pod.UID {
			return nil, errors.New("service account token has been invalidated: its pod is gone")
		}
		extra[serviceaccount.PodNameKey], extra[serviceaccount.PodUIDKey] = []string{pod.Name}, []string{k.Pod.UID}
	}
	if k.Secret != nil {
		secret, err := t.lookup.Secret(ctx, k.Namespace, k.Secret.Name)
		if err != nil || string(secret.UID) != k.Secret.UID {
			return nil, errors.New("service account token has been invalidated: its secret is gone")
		}
	}
	if k.Node != nil {
		if k.Pod == nil {
			node, err := t.lookup.Node(ctx, k.Node.Name)
			if err != nil || string(node.UID) != k.Node.UID {
				return nil, errors.New("service account token has been invalidated: its node is gone")
			}
		}
		extra[serviceaccount.NodeNameKey], extra[serviceaccount.NodeUIDKey] = []string{k.Node.Name}, []string{k.Node.UID}
	}
	return &user.DefaultInfo{
		Name:   serviceaccount.MakeUsername(k.Namespace, k.Account.Name),
		UID:    k.Account.UID,
		Groups: slices.Clone(serviceaccount.MakeGroupNames(k.Namespace)),
		Extra:  extra,
	}, nil
}

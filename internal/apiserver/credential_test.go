package apiserver

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/client-go/rest"
)

func TestStaticTokensAreBelieved(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(file, []byte("s3cret,jane,1,\"system:masters\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := launchWith(t, dir, func(c *Config) { c.TokenAuthFile = file })
	t.Cleanup(i.Stop)
	for token, believed := range map[string]bool{"s3cret": true, "other": false} {
		set := clientset(t, &rest.Config{Host: i.URL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: i.Files.CACert}})
		_, err := set.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
		if believed && err != nil || !believed && !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v", token, err)
		}
		review, err := clientset(t, i.Admin()).AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		if err != nil || review.Status.Authenticated != believed || slices.Contains(review.Status.User.Groups, "system:authenticated") != believed {
			t.Errorf("review of %s: %+v %v", token, review.Status, err)
		}
	}
}

const encryption = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aesgcm: {keys: [{name: k, secret: c2VjcmV0IGlzIHNlY3VyZQ==}]}
  - identity: {}
`

func TestSecretsAreEncryptedAtRest(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "encryption.yaml")
	if err := os.WriteFile(file, []byte(encryption), 0o600); err != nil {
		t.Fatal(err)
	}
	i := launchWith(t, dir, func(c *Config) { c.EncryptionConfigFile = file })
	t.Cleanup(i.Stop)
	set := clientset(t, i.Admin())
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Data: map[string][]byte{"k": []byte("in the clear")}}
	if _, err := set.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	read, err := set.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
	if err != nil || string(read.Data["k"]) != "in the clear" {
		t.Errorf("read back %v: %v", read.Data, err)
	}
	stored, err := i.store.Client().Get(t.Context(), "/registry/secrets/default/s")
	if err != nil || len(stored.Kvs) != 1 {
		t.Fatal(stored, err)
	}
	if raw := stored.Kvs[0].Value; bytes.Contains(raw, []byte("in the clear")) || !bytes.HasPrefix(raw, []byte("k8s:enc:aesgcm:v1:k:")) {
		t.Errorf("stored: %q", raw)
	}
}

func TestKeysOfEncryptionAreRotatedWithoutARestart(t *testing.T) {
	period := controller.EncryptionConfigFileChangePollDuration
	controller.EncryptionConfigFileChangePollDuration = 10 * time.Millisecond
	t.Cleanup(func() { controller.EncryptionConfigFileChangePollDuration = period })
	dir := t.TempDir()
	file := writeFile(t, dir, "encryption.yaml", encryption)
	i := launchWith(t, dir, func(c *Config) { c.EncryptionConfigFile = file })
	t.Cleanup(i.Stop)
	secrets := clientset(t, i.Admin()).CoreV1().Secrets("default")
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "old"}, Data: map[string][]byte{"k": []byte("v")}}
	if _, err := secrets.Create(t.Context(), old, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The new key writes, the old one still reads.
	writeFile(t, dir, "encryption.yaml", strings.Replace(encryption, "keys: [", "keys: [{name: new, secret: dGhpcyBpcyBwYXNzd29yZA==}, ", 1))
	eventually(t, "what is written is encrypted by the new key", func() bool {
		s, err := secrets.Get(t.Context(), "old", metav1.GetOptions{})
		if err != nil || string(s.Data["k"]) != "v" {
			t.Fatal(s, err)
		}
		if _, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		stored, err := i.store.Client().Get(t.Context(), "/registry/secrets/default/old")
		return err == nil && bytes.HasPrefix(stored.Kvs[0].Value, []byte("k8s:enc:aesgcm:v1:new:"))
	})
	// A file that is wrong changes nothing.
	writeFile(t, dir, "encryption.yaml", "rubbish")
	if s, err := secrets.Get(t.Context(), "old", metav1.GetOptions{}); err != nil || string(s.Data["k"]) != "v" {
		t.Error(s, err)
	}
}

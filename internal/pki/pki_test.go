package pki

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestWhatIsGoodIsKept(t *testing.T) {
	dir := t.TempDir()
	files, err := Ensure(dir, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	if _, err := Ensure(dir, []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	for name, data := range snapshot(t, dir) {
		if before[name] != data {
			t.Errorf("%s changed on a second start", name)
		}
	}
	if _, err := Ensure(dir, []string{"127.0.0.1", "box.example"}); err != nil {
		t.Fatal(err)
	}
	if err := leaf(t, files.ServingCert).VerifyHostname("box.example"); err != nil {
		t.Errorf("the serving certificate was not renewed for a new host: %v", err)
	}
	if got, want := snapshot(t, dir)["ca.crt"], before["ca.crt"]; got != want {
		t.Error("the authority was replaced")
	}
}

func TestKeysAreForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	if _, err := Ensure(dir, nil); err != nil {
		t.Fatal(err)
	}
	for name := range snapshot(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestACorruptAuthorityIsNamedAndKept(t *testing.T) {
	dir := t.TempDir()
	files, err := Ensure(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.CAKey, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(dir, nil); err == nil || !strings.Contains(err.Error(), files.CAKey) {
		t.Errorf("error %v does not name %s", err, files.CAKey)
	}
	if data, _ := os.ReadFile(files.CAKey); string(data) != "rubbish" {
		t.Error("the corrupt key was overwritten")
	}
}

func TestKubeconfigHoldsTheAdministrator(t *testing.T) {
	dir := t.TempDir()
	files, err := Ensure(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sub", "admin.kubeconfig")
	if err := WriteKubeconfig(path, "https://127.0.0.1:6443", files); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:6443" || len(config.CertData) == 0 || len(config.KeyData) == 0 || len(config.CAData) == 0 {
		t.Errorf("incomplete kubeconfig for host %q", config.Host)
	}
	if subject := leaf(t, files.AdminCert).Subject; subject.Organization[0] != "system:masters" {
		t.Errorf("administrator's groups are %v", subject.Organization)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig has mode %v", info.Mode())
	}
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func leaf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

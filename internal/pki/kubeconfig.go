package pki

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/continuity"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes, with mode 0600 and atomically, a kubeconfig that makes its holder the administrator of
// the API server at url; keys and certificates stand in the file, so it can be carried elsewhere.
func WriteKubeconfig(file, url string, f Files) error {
	config := api.NewConfig()
	cluster := &api.Cluster{Server: url}
	user := &api.AuthInfo{}
	for path, data := range map[string]*[]byte{
		f.CACert: &cluster.CertificateAuthorityData, f.AdminCert: &user.ClientCertificateData, f.AdminKey: &user.ClientKeyData,
	} {
		var err error
		if *data, err = os.ReadFile(path); err != nil {
			return fmt.Errorf("read for kubeconfig: %w", err)
		}
	}
	config.Clusters["mayfly"] = cluster
	config.AuthInfos["mayfly-admin"] = user
	config.Contexts["mayfly"] = &api.Context{Cluster: "mayfly", AuthInfo: "mayfly-admin"}
	config.CurrentContext = "mayfly"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("create kubeconfig directory: %w", err)
	}
	if err := continuity.AtomicWriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", file, err)
	}
	return nil
}

package apiserver

import (
	"errors"
	"net"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
)

// NodeGetter finds the kubelet API of a node, where exec, attach, logs and port-forward end.
type NodeGetter = pod.NodeGetter

// NodeEndpoint is where and how a node's kubelet API is called.
type NodeEndpoint = pod.NodeEndpoint

// Config is what the server needs to know. Paths are files in PEM.
type Config struct {
	// DataDir holds the etcd of this process in its directory etcd; made when missing, used by one server at a time.
	DataDir string
	// Listener is plain TCP, bound already; the server puts TLS on it and closes it in the end.
	Listener net.Listener
	// ServingCertFile and ServingKeyFile are the server's; clients that ClientCAFile signed are who their
	// certificate says. All three are watched and reread when they change.
	ServingCertFile, ServingKeyFile, ClientCAFile string
	// ServiceAccountKeyFile is the private key (ECDSA or RSA) that signs and verifies service-account tokens.
	ServiceAccountKeyFile string
	// ServiceAccountIssuer is the iss of tokens, and their audience when none is asked for.
	ServiceAccountIssuer string
	// EtcdServers are URLs of an etcd elsewhere; empty runs one in this process.
	EtcdServers                           []string
	EtcdCAFile, EtcdCertFile, EtcdKeyFile string
	// EncryptionConfigFile is an EncryptionConfiguration of apiserver.config.k8s.io: how resources, secrets say, are
	// encrypted in etcd. Empty stores them as they are.
	EncryptionConfigFile string
	// TokenAuthFile lists static tokens, a line each: token,user,uid and optionally "group,group".
	TokenAuthFile string
	// BootstrapTokens believes the tokens of secrets of the type bootstrap.kubernetes.io/token.
	BootstrapTokens bool
	// AuthenticationConfigFile and AuthorizationConfigFile are the configurations of those names of
	// apiserver.config.k8s.io: whose JWTs are believed, and who is asked, in place of nodes' own rules and RBAC.
	// Both are followed: what their files say later holds, unless it is wrong.
	AuthenticationConfigFile, AuthorizationConfigFile string
	// AuthenticationWebhookConfigFile is the kubeconfig of a webhook that is asked about tokens, by TokenReviews of
	// AuthenticationWebhookVersion, v1 or v1beta1. Empty asks none.
	AuthenticationWebhookConfigFile, AuthenticationWebhookVersion string
	// AuditPolicyFile says what is recorded of requests (audit.k8s.io/v1 Policy); AuditLogPath takes it as lines of
	// JSON ("-" is the standard output), the webhook of the kubeconfig AuditWebhookConfigFile in batches. All empty
	// records nothing.
	AuditPolicyFile, AuditLogPath, AuditWebhookConfigFile string
	// TracingConfigFile is a TracingConfiguration of apiserver.config.k8s.io: where spans go, and of how many requests.
	// Empty makes none.
	TracingConfigFile string
	// RequestTimeout bounds requests but for those that last, watches and streams; 0 is a minute.
	RequestTimeout time.Duration
	// AlwaysPullImages makes every container pull its image with the Pod's own credentials, whatever it says.
	AlwaysPullImages bool
	// Node reaches nodes; nil refuses every stream.
	Node NodeGetter
}

func (c Config) etcdDir() string { return filepath.Join(c.DataDir, "etcd") }

func (c Config) validate() error {
	switch {
	case c.Listener == nil:
		return errors.New("API server needs a listener")
	case c.DataDir == "" && len(c.EtcdServers) == 0:
		return errors.New("API server needs a data directory or etcd servers")
	case c.ServingCertFile == "" || c.ServingKeyFile == "":
		return errors.New("API server needs a serving certificate and its key")
	case c.ClientCAFile == "":
		return errors.New("API server needs the authority that signs client certificates")
	}
	return nil
}

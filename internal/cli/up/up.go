// Package up is `mayfly up`: the whole system in one process.
package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/daemon"
	"github.com/mayfly-run/mayfly/internal/doctor"
	"github.com/mayfly-run/mayfly/internal/logging"
	"github.com/mayfly-run/mayfly/internal/memory"
)

type options struct {
	streams  genericiooptions.IOStreams
	instance config.Instance
	started  time.Time
	// systemd is the socket that systemd listens on, empty where it does not ask to be told.
	systemd string
}

// New returns the command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := options{streams: streams, instance: config.Default(), started: time.Now()}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the API server, the node agent and the runtime on this machine",
		Long: "Run the API server, the node agent and the runtime on this machine, as root, until SIGTERM or SIGINT.\n" +
			"Containers go on running after it; `mayfly down` stops them.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.instance.DataDir, "data-dir", o.instance.DataDir, "directory of all that must survive a reboot")
	f.StringVar(&o.instance.RunDir, "run-dir", o.instance.RunDir, "directory of sockets and run-time state")
	f.StringVar(&o.instance.Listen, "listen", o.instance.Listen, "host:port of the Kubernetes API")
	f.StringVar(&o.instance.Kubeconfig, "kubeconfig", "", "administrator's kubeconfig to write (default DATA-DIR/admin.kubeconfig)")
	f.StringSliceVar(&o.instance.PodCIDRs, "pod-cidr", o.instance.PodCIDRs, "network of the Pods; one of IPv4, one of IPv6, or both")
	f.StringVar(&o.instance.NodeName, "node-name", o.instance.NodeName, "name of this machine's Node")
	f.StringVar(&o.instance.CNIConfDir, "cni-conf-dir", o.instance.CNIConfDir, "directory of CNI's configuration, by which Pods are connected in place of Mayfly's own bridge; none for the bridge; auto for CNI if "+config.DefaultCNIConfDir+" has a configuration that works")
	f.StringVar(&o.instance.CNIBinDir, "cni-bin-dir", o.instance.CNIBinDir, "directories of CNI's plugins, with colons between")
	f.StringToStringVar(&o.instance.RuntimeHandlers, "runtime-handler", nil, "OCI runtime for Pods whose RuntimeClass has the handler NAME, as NAME=PATH; may be repeated")
	f.Int64Var(&o.instance.PodMaxPIDs, "pod-max-pids", o.instance.PodMaxPIDs, "how many processes and threads a Pod may have; 0 for any number")
	f.StringSliceVar(&o.instance.UnsafeSysctls, "allowed-unsafe-sysctls", nil, "sysctls that Pods may set beside those that are safe; a * at the end stands for any end")
	f.StringVar(&o.instance.CgroupDriver, "cgroup-driver", o.instance.CgroupDriver, "who makes the cgroups of Pods: cgroupfs for Mayfly itself, or systemd")
	f.BoolVar(&o.instance.NRI, "nri", false, "let plugins of the Node Resource Interface change Pods and containers; they connect to RUN-DIR/nri.sock")
	f.IntVar(&o.instance.ImageGCHigh, "image-gc-high-threshold", o.instance.ImageGCHigh, "percent of the disk in use from which on unused images are removed, 100 for never")
	f.IntVar(&o.instance.ImageGCLow, "image-gc-low-threshold", o.instance.ImageGCLow, "percent of the disk in use that removing unused images ends at")
	f.StringVar(&o.instance.PodManifestPath, "pod-manifest-path", "", "directory of manifests of static Pods, which run for as long as their file is there")
	f.StringVar(&o.instance.LogLevel, "log-level", o.instance.LogLevel, "debug, info, warn or error")
	f.StringVar(&o.instance.LogFormat, "log-format", o.instance.LogFormat, "text or json")
	addAPIFlags(f, &o.instance.API)
	return cmd
}

// addAPIFlags adds the API server's own settings, under the names that kube-apiserver has for them.
func addAPIFlags(f *pflag.FlagSet, api *config.API) {
	f.StringVar(&api.AuditPolicyFile, "audit-policy-file", "", "policy that says what is recorded in the audit log")
	f.StringVar(&api.AuditLogPath, "audit-log-path", "", "file of the audit log, - for standard output")
	f.StringVar(&api.AuditWebhookConfigFile, "audit-webhook-config-file", "", "kubeconfig of a webhook that takes audit events")
	f.StringVar(&api.TokenAuthFile, "token-auth-file", "", "CSV file of static tokens")
	f.BoolVar(&api.EnableBootstrapTokenAuth, "enable-bootstrap-token-auth", false, "believe tokens of Secrets of the type bootstrap.kubernetes.io/token in kube-system")
	f.StringVar(&api.AuthenticationConfig, "authentication-config", "", "AuthenticationConfiguration: issuers of JWTs that are believed, OIDC say, and where requests may be anonymous")
	f.StringVar(&api.AuthorizationConfig, "authorization-config", "", "AuthorizationConfiguration: who is asked, webhooks too (default: the node's own rules, then RBAC)")
	f.StringVar(&api.AuthenticationTokenWebhookConfigFile, "authentication-token-webhook-config-file", "", "kubeconfig of a webhook that is asked about tokens")
	f.StringVar(&api.AuthenticationTokenWebhookVersion, "authentication-token-webhook-version", "v1beta1", "version of the TokenReviews that the webhook is sent, v1 or v1beta1")
	f.StringVar(&api.TracingConfigFile, "tracing-config-file", "", "TracingConfiguration: where spans go by OpenTelemetry, and of how many requests")
	f.StringVar(&api.EncryptionProviderConfig, "encryption-provider-config", "", "configuration of encryption at rest")
	f.StringSliceVar(&api.EtcdServers, "etcd-servers", nil, "URLs of an external etcd (default: one in this process)")
	f.StringVar(&api.EtcdCAFile, "etcd-cafile", "", "certificate authority of the external etcd")
	f.StringVar(&api.EtcdCertFile, "etcd-certfile", "", "client certificate for the external etcd")
	f.StringVar(&api.EtcdKeyFile, "etcd-keyfile", "", "key of the client certificate")
	f.BoolVar(&api.AlwaysPullImages, "always-pull-images", false, "make every container's image be pulled anew, so that its credentials are checked")
}

func (o *options) run(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		go memory.Tend(ctx)
	}
	if err := o.instance.Complete(); err != nil {
		return err
	}
	if err := o.instance.Validate(); err != nil {
		return err
	}
	if err := logging.Setup(logging.Config{Level: o.instance.LogLevel, Format: o.instance.LogFormat, Output: o.streams.ErrOut}); err != nil {
		return err
	}
	if err := refuseUnfitHost(ctx, o.instance); err != nil {
		return err
	}
	if err := o.takeNotifySocket(); err != nil {
		return err
	}
	// systemd hears of the stop before anything stops.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() {
		o.notify(sd.SdNotifyStopping)
		stop()
	})
	return daemon.Up(running, o.instance, o.ready)
}

func (o *options) ready() {
	o.notify(sd.SdNotifyReady)
	fmt.Fprintf(o.streams.Out, "Mayfly is ready on https://%s after %s. Next: %s\n", o.instance.Listen, time.Since(o.started).Round(time.Millisecond), o.next())
}

// next is the command to type next; it names the data directory only where kubectl would not find it by itself.
func (o *options) next() string {
	command := "mayfly kubectl get nodes"
	if o.instance.Kubeconfig != filepath.Join(config.Default().DataDir, "admin.kubeconfig") {
		command = "KUBECONFIG=" + o.instance.Kubeconfig + " " + command
	}
	return command
}

// notifySocket is the variable by which systemd asks to be told (sd_notify(3)).
const notifySocket = "NOTIFY_SOCKET"

// takeNotifySocket hides systemd's socket from the API server's library, which would report that all is ready as soon
// as it listens itself.
func (o *options) takeNotifySocket() error {
	o.systemd = os.Getenv(notifySocket)
	return os.Unsetenv(notifySocket)
}

func (o *options) notify(state string) {
	if o.systemd == "" {
		return
	}
	err := os.Setenv(notifySocket, o.systemd)
	if err == nil {
		_, err = sd.SdNotify(true, state)
	}
	if err != nil {
		slog.Warn("tell systemd", "state", state, "err", err)
	}
}

// refuseUnfitHost answers in the words of `mayfly doctor` what the host lacks, before anything is changed.
func refuseUnfitHost(ctx context.Context, i config.Instance) error {
	var errs []error
	for _, f := range doctor.Check(ctx, doctor.ConfigOf(i)) {
		if !f.OK && f.Fatal {
			errs = append(errs, fmt.Errorf("%s: %s; %s", f.Name, f.Detail, strings.TrimSuffix(f.Remedy, ".")))
		}
	}
	return errors.Join(errs...)
}

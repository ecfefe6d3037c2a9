// Package daemon is the composition root of `mayfly up` and `mayfly down`: the only place that knows all planes and
// wires each to the boundary below it.
//
//	apiserver ── node.sock (kubelet API) ──▶ node agent ── cri.sock (CRI) ──▶ runtime
//	    ▲                                        │
//	    └──────────── loopback client ◀──────────┴── controllers
package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/mayfly-run/mayfly/internal/apiserver"
	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/controller"
	"github.com/mayfly-run/mayfly/internal/cri"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/binary"
	"github.com/mayfly-run/mayfly/internal/lifecycle"
	"github.com/mayfly-run/mayfly/internal/node"
	"github.com/mayfly-run/mayfly/internal/pki"
)

// daemon is one `mayfly up`, assembled but not started.
type daemon struct {
	instance  config.Instance
	listener  net.Listener
	url       string   // of the API, for clients on this machine
	hosts     []string // that the API's certificate names
	keys      pki.Files
	api       *apiserver.Server
	runtime   *cri.Server
	agent     *node.Agent
	control   *controller.Controller
	endpoints nodeEndpoint
}

// Up runs the instance until ctx ends, and calls ready once its node takes Pods. Containers go on running after it.
func Up(ctx context.Context, instance config.Instance, ready func()) error {
	if err := claim(instance.DataDir, "--data-dir", instance.ID()); err != nil {
		return err
	}
	held, err := acquire(instance.DataDir)
	if err != nil {
		return fmt.Errorf("%w; stop it with `mayfly down --data-dir %s`, or choose other --data-dir, --run-dir, --listen, --pod-cidr and --node-name for a second one", err, instance.DataDir)
	}
	defer held.release()
	if err := claim(instance.RunDir, "--run-dir", instance.ID()); err != nil {
		return err
	}
	d := &daemon{instance: instance}
	if err := d.assemble(ctx); err != nil {
		return err
	}
	return lifecycle.Run(ctx, d.stages(), ready)
}

// assemble builds the planes. The API server and the runtime open their stores side by side: both take their time.
func (d *daemon) assemble(ctx context.Context) error {
	if err := d.instance.Save(); err != nil {
		return err
	}
	if err := d.identity(); err != nil {
		return err
	}
	d.endpoints = nodeEndpoint{name: d.instance.NodeName, socket: filepath.Join(d.instance.RunDir, "node.sock")}
	opening, openCtx := errgroup.WithContext(ctx)
	opening.Go(func() (err error) {
		d.api, err = apiserver.New(openCtx, d.apiConfig())
		return err
	})
	opening.Go(func() (err error) {
		d.runtime, err = cri.New(openCtx, runtimeConfig(d.instance))
		return err
	})
	if err := opening.Wait(); err != nil {
		return err
	}
	return d.assembleClients()
}

// identity binds the listener first, so that a port in use changes nothing on disk, and makes the certificates.
func (d *daemon) identity() error {
	listener, err := net.Listen("tcp", d.instance.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; free the port or choose another with --listen", d.instance.Listen, err)
	}
	d.listener = listener
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return fmt.Errorf("listener's address: %w", err)
	}
	d.hosts = []string{host, "127.0.0.1", "::1", d.instance.NodeName}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host, d.hosts = "127.0.0.1", append(d.hosts, reachable()...)
	}
	if d.keys, err = pki.Ensure(keyDir(d.instance), d.hosts); err != nil {
		return err
	}
	d.url = "https://" + net.JoinHostPort(host, port)
	return d.writeKubeconfig(d.keys)
}

// reachable are the addresses of this machine by which others come when the API server listens on all.
func reachable() []string {
	addresses, _ := net.InterfaceAddrs() // those that are not known cannot be named
	var hosts []string
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			hosts = append(hosts, network.IP.String())
		}
	}
	return hosts
}

func (d *daemon) writeKubeconfig(keys pki.Files) error {
	return pki.WriteKubeconfig(d.instance.Kubeconfig, d.url, keys)
}

// renewCertificates keeps them from expiring while the daemon is up; the API server rereads its own.
func (d *daemon) renewCertificates(ctx context.Context) error {
	return pki.Renew(ctx, keyDir(d.instance), d.hosts, d.writeKubeconfig)
}

// keyDir holds certificates and keys.
func keyDir(i config.Instance) string { return filepath.Join(i.DataDir, "pki") }

func (d *daemon) apiConfig() apiserver.Config {
	set := d.instance.API
	return apiserver.Config{
		DataDir:                         apiDir(d.instance),
		Listener:                        d.listener,
		ServingCertFile:                 d.keys.ServingCert,
		ServingKeyFile:                  d.keys.ServingKey,
		ClientCAFile:                    d.keys.CACert,
		ServiceAccountKeyFile:           d.keys.ServiceAccountKey,
		ServiceAccountIssuer:            "https://kubernetes.default.svc.cluster.local",
		Node:                            d.endpoints,
		AuditPolicyFile:                 set.AuditPolicyFile,
		AuditLogPath:                    set.AuditLogPath,
		AuditWebhookConfigFile:          set.AuditWebhookConfigFile,
		TokenAuthFile:                   set.TokenAuthFile,
		BootstrapTokens:                 set.EnableBootstrapTokenAuth,
		AuthenticationConfigFile:        set.AuthenticationConfig,
		AuthorizationConfigFile:         set.AuthorizationConfig,
		AuthenticationWebhookConfigFile: set.AuthenticationTokenWebhookConfigFile,
		AuthenticationWebhookVersion:    set.AuthenticationTokenWebhookVersion,
		TracingConfigFile:               set.TracingConfigFile,
		EncryptionConfigFile:            set.EncryptionProviderConfig,
		AlwaysPullImages:                set.AlwaysPullImages,
		EtcdServers:                     set.EtcdServers,
		EtcdCAFile:                      set.EtcdCAFile,
		EtcdCertFile:                    set.EtcdCertFile,
		EtcdKeyFile:                     set.EtcdKeyFile,
	}
}

func runtimeConfig(i config.Instance) cri.Config {
	cniConfDir, cniBinDirs, cniAutomatic := i.CNI()
	return cri.Config{
		RootDir:           filepath.Join(i.DataDir, "runtime"),
		RunDir:            i.RunDir,
		Socket:            i.RuntimeSocket(),
		InstanceID:        i.ID(),
		PodCIDRs:          i.PodCIDRs,
		CNIConfDir:        cniConfDir,
		CNIBinDirs:        cniBinDirs,
		CNIAutomatic:      cniAutomatic,
		RuntimeHandlers:   i.RuntimeHandlers,
		NRI:               i.NRI,
		RegistryConfigDir: filepath.Join(i.DataDir, registryConfigs),
		CgroupRoot:        i.CgroupRoot(),
		SystemdCgroups:    i.CgroupDriver == config.CgroupSystemd,
		Monitor:           binary.Executable(),
	}
}

// apiDir holds the data of the API server.
func apiDir(i config.Instance) string { return filepath.Join(i.DataDir, "apiserver") }

// nodeDir holds the volumes of Pods.
func nodeDir(i config.Instance) string { return filepath.Join(i.DataDir, "node") }

// assembleClients builds the planes that are clients of the API server.
func (d *daemon) assembleClients() (err error) {
	rootCA, err := os.ReadFile(d.keys.CACert)
	if err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	caKey, err := os.ReadFile(d.keys.CAKey)
	if err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	d.control, err = controller.New(controller.Config{
		Client:      d.api.ClientConfig("system:kube-controller-manager", "system:masters"),
		RootCA:      rootCA,
		SigningCert: rootCA,
		SigningKey:  caKey,
		NodeName:    d.instance.NodeName,
	})
	if err != nil {
		return err
	}
	endpoint := "unix://" + d.instance.RuntimeSocket()
	d.agent, err = node.New(node.Config{
		NodeName:        d.instance.NodeName,
		Client:          d.api.ClientConfig("system:node:"+d.instance.NodeName, "system:nodes"),
		RuntimeEndpoint: endpoint,
		ImageEndpoint:   endpoint,
		Streams:         d.runtime.Streams(),
		RuntimeOptions:  []grpc.DialOption{grpc.WithUnaryInterceptor(d.runtime.Direct())},
		RootDir:         nodeDir(d.instance),
		LogDir:          filepath.Join(d.instance.DataDir, "logs"),
		CgroupRoot:      d.instance.CgroupRoot(),
		Cgroups:         d.runtime,
		PodPIDs:         d.instance.PodMaxPIDs,
		UnsafeSysctls:   d.instance.UnsafeSysctls,
		PodCIDR:         d.instance.PodCIDRs[0],
		API:             d.listener.Addr().(*net.TCPAddr).AddrPort(),
		ImageGCHigh:     d.instance.ImageGCHigh,
		ImageGCLow:      d.instance.ImageGCLow,
		StaticPods:      d.instance.PodManifestPath,
		CompleteStatic:  completeStatic,
	})
	return err
}

func (d *daemon) stages() []lifecycle.Stage {
	return []lifecycle.Stage{
		{
			{Name: "runtime", Run: d.runtime.Run, Ready: d.runtime.Ready()},
			{Name: "apiserver", Run: d.api.Run, Ready: d.api.Ready()},
		},
		{
			{Name: "certificates", Run: d.renewCertificates},
			{Name: "backup API", Run: serveUnix(d.instance.BackupSocket(), d.api.BackupHandler())},
			{Name: "image API", Run: serveUnix(d.instance.ImageSocket(), d.runtime.ImageHandler())},
			{Name: "kubelet API", Run: serveUnix(d.endpoints.socket, d.agent.Handler())},
			{Name: "controllers", Run: d.control.Run},
			{Name: "node agent", Run: d.agent.Run, Ready: d.agent.Ready()},
		},
	}
}

// serveUnix serves handler on a unix socket for root alone. Long requests, an exec say, end with ctx.
func serveUnix(path string, handler http.Handler) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove stale socket: %w", err)
		}
		listener, err := net.Listen("unix", path)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return fmt.Errorf("restrict socket: %w", err)
		}
		server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return ctx }}
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		if err := server.Serve(listener); ctx.Err() == nil {
			return fmt.Errorf("serve %s: %w", path, err)
		}
		return nil
	}
}

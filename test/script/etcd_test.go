package script

import (
	"net/url"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/mayfly-run/mayfly/internal/pki"
)

// etcd runs one that takes nobody without a certificate, and sets ETCD to its URL, ETCD_CA to its authority, and
// ETCD_CERT and ETCD_KEY to a client's.
func etcd(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "etcd")
	dir := ts.MkAbs("etcd")
	keys, err := pki.Ensure(filepath.Join(dir, "pki"), []string{"127.0.0.1"})
	ts.Check(err)
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = filepath.Join(dir, "data"), "fatal"
	cfg.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	cfg.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.AdvertiseClientUrls, cfg.AdvertisePeerUrls = cfg.ListenClientUrls, cfg.ListenPeerUrls
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ClientTLSInfo = transport.TLSInfo{CertFile: keys.ServingCert, KeyFile: keys.ServingKey, TrustedCAFile: keys.CACert, ClientCertAuth: true}
	e, err := embed.StartEtcd(cfg)
	ts.Check(err)
	ts.Defer(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		ts.Fatalf("etcd is not ready")
	}
	ts.Setenv("ETCD", "https://"+e.Clients[0].Addr().String())
	ts.Setenv("ETCD_CA", keys.CACert)
	ts.Setenv("ETCD_CERT", keys.AdminCert)
	ts.Setenv("ETCD_KEY", keys.AdminKey)
}

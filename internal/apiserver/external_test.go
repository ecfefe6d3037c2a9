package apiserver

import (
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startEtcd runs an etcd that listens, as one elsewhere does, and returns its URL.
func startEtcd(t *testing.T) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = t.TempDir(), "fatal"
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = []url.URL{loopback}, []url.URL{loopback}
	cfg.AdvertiseClientUrls, cfg.AdvertisePeerUrls = cfg.ListenClientUrls, cfg.ListenPeerUrls
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd is not ready")
	}
	return "http://" + e.Clients[0].Addr().String()
}

// TestTwoServersOnOneExternalEtcd writes at one server and watches at the other.
func TestTwoServersOnOneExternalEtcd(t *testing.T) {
	servers := []string{startEtcd(t)}
	use := func(c *Config) { c.EtcdServers = servers }
	one := launchWith(t, t.TempDir(), use)
	t.Cleanup(one.Stop)
	two := launchWith(t, t.TempDir(), use)
	t.Cleanup(two.Stop)
	w, err := clientset(t, two.Admin()).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	made, err := clientset(t, one.Admin()).CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shared"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-w.ResultChan():
		if got, ok := e.Object.(*corev1.ConfigMap); !ok || got.UID != made.UID || got.ResourceVersion != made.ResourceVersion {
			t.Errorf("event: %+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Error("the other server tells nothing")
	}
}

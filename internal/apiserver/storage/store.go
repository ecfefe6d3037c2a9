package storage

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// Prefix is where in etcd all objects are, as kube-apiserver has it.
const Prefix = "/registry"

// Config says where objects are kept.
type Config struct {
	// Dir is etcd's own directory when it runs in this process.
	Dir string
	// Servers are the URLs of an etcd elsewhere; empty means in this process.
	Servers                   []string
	CAFile, CertFile, KeyFile string
	// EncryptionFile says which resources are encrypted how (EncryptionConfiguration); empty encrypts none.
	EncryptionFile string
	// Scheme and Codecs encode what is stored.
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	// CompactInterval is how often what is older than that is removed from etcd; 0 is etcd's usual five minutes.
	CompactInterval time.Duration
}

// Store opens the storage of each resource.
type Store struct {
	cfg       Config
	etcd      *Etcd
	compactor etcd3.Compactor
	encrypted value.ResourceTransformers // nil when nothing is
	stop      func()
}

// Open starts etcd, or prepares to call the one elsewhere.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{cfg: cfg, stop: func() {}}
	if err := s.encrypt(ctx); err != nil {
		return nil, err
	}
	if len(cfg.Servers) > 0 {
		return s, nil
	}
	etcd, err := OpenEtcd(ctx, cfg.Dir)
	if err != nil {
		s.stop()
		return nil, err
	}
	feature.DefaultFeatureSupportChecker.CheckClient(context.WithoutCancel(ctx), probe{etcd.client.Client}, apistorage.RequestWatchProgress)
	compactor := etcd3.NewCompactor(etcd.client.Client, cmp.Or(cfg.CompactInterval, storagebackend.DefaultCompactInterval), clock.RealClock{}, nil)
	ended := s.stop
	s.etcd, s.compactor, s.stop = etcd, compactor, func() {
		compactor.Stop()
		ended()
	}
	return s, nil
}

// Failed delivers the error that ended the store while it served; nil for an etcd elsewhere.
func (s *Store) Failed() <-chan error {
	if s.etcd == nil {
		return nil
	}
	return s.etcd.Failed()
}

// Ping asks the etcd of this process for its health.
func (s *Store) Ping(ctx context.Context) error {
	if s.etcd == nil {
		return nil
	}
	return s.etcd.Ping(ctx)
}

// Close stops compaction and the etcd of this process.
func (s *Store) Close() error {
	s.stop()
	if s.etcd == nil {
		return nil
	}
	return s.etcd.Close()
}

// Client is the client of the etcd in this process, nil otherwise.
func (s *Store) Client() *clientv3.Client {
	if s.etcd == nil {
		return nil
	}
	return s.etcd.client.Client
}

// GetRESTOptions implements generic.RESTOptionsGetter: objects are stored as protobuf, in their group's v1.
func (s *Store) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	versions := s.cfg.Scheme.PrioritizedVersionsForGroup(resource.Group)
	if len(versions) == 0 {
		return generic.RESTOptions{}, errors.New("no version of group " + resource.Group)
	}
	serializer := protobuf.NewSerializer(s.cfg.Scheme, s.cfg.Scheme)
	internal := schema.GroupVersion{Group: resource.Group, Version: runtime.APIVersionInternal}
	codec := s.cfg.Codecs.CodecForVersions(serializer, s.cfg.Codecs.UniversalDeserializer(), versions[0], internal)
	cfg := storagebackend.NewDefaultConfig(Prefix, codec)
	cfg.EncodeVersioner = versions[0]
	cfg.Transformer = s.transformer(resource)
	cfg.Transport.ServerList = s.cfg.Servers
	cfg.Transport.TrustedCAFile, cfg.Transport.CertFile, cfg.Transport.KeyFile = s.cfg.CAFile, s.cfg.CertFile, s.cfg.KeyFile
	decorator := genericregistry.StorageWithCacher()
	if s.etcd != nil {
		decorator = s.decorate
	}
	return generic.RESTOptions{
		StorageConfig:           cfg.ForResource(resource),
		Decorator:               decorator,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          "/" + resource.Resource,
	}, nil
}

// decorate is the storage of one resource in the etcd of this process, with a watch cache before it.
func (s *Store) decorate(c *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error),
	newFunc, newList func() runtime.Object, attrs apistorage.AttrFunc, triggers apistorage.IndexerFuncs, indexers *cache.Indexers,
) (apistorage.Interface, factory.DestroyFunc, error) {
	versioner := apistorage.APIObjectVersioner{}
	raw, err := etcd3.New(s.etcd.client, s.compactor, c.Codec, newFunc, newList, c.Prefix, prefix, c.GroupResource,
		s.transformer(c.GroupResource), c.LeaseManagerConfig, etcd3.NewDefaultDecoder(c.Codec, versioner), versioner)
	if err != nil {
		return nil, nil, err
	}
	cached, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: raw, Versioner: versioner, GroupResource: c.GroupResource, EventsHistoryWindow: c.EventsHistoryWindow,
		ResourcePrefix: prefix, KeyFunc: key, NewFunc: newFunc, NewListFunc: newList, GetAttrsFunc: attrs,
		IndexerFuncs: triggers, Indexers: indexers, Codec: c.Codec,
	})
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	delegator := cacher.NewCacheDelegator(cached, raw)
	var once sync.Once
	return delegator, func() {
		once.Do(func() {
			delegator.Stop()
			cached.Stop()
			raw.Close()
		})
	}, nil
}

// newClient wraps an in-process client as the storage layer wants it.
func newClient(c *clientv3.Client) *kubernetes.Client {
	client := &kubernetes.Client{Client: c}
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	client.Kubernetes = client
	return client
}

// probe is what the check for etcd's features asks: the in-process client has no endpoints of its own.
type probe struct{ *clientv3.Client }

// Endpoints names the only endpoint there is.
func (probe) Endpoints() []string { return []string{"in-process"} }

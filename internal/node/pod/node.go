package pod

import (
	"context"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/node/dns"
	"github.com/mayfly-run/mayfly/internal/node/env"
	"github.com/mayfly-run/mayfly/internal/node/image"
	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/userns"
	"github.com/mayfly-run/mayfly/internal/node/volume"
)

// Node is what all Pods of a node share. It is not changed after the first Worker has started.
type Node struct {
	Name        string
	Client      kubernetes.Interface
	Runtime     *runtime.Client
	RuntimeName string
	Images      *image.Puller
	Volumes     *volume.Set
	Users       *userns.Ranges
	Objects     Objects
	Recorder    record.EventRecorder
	Check       probe.Check
	DNS         dns.Config
	// LogDir holds a directory per Pod with its containers' logs.
	LogDir string
	// CgroupRoot is where the cgroups of all Pods are, below the hierarchy's root.
	CgroupRoot string
	// Slices says that systemd makes cgroups, so that a Pod's is named as a slice.
	Slices bool
	// Cgroups limits Pods' cgroups, PodPIDs the tasks in each; nil and 0 leave them without limits.
	Cgroups Cgroups
	PodPIDs int64
	// UnsafeSysctls are those that Pods may set beside the safe ones, see [security.ForbiddenSysctl].
	UnsafeSysctls []string
	// API is where the API server listens.
	API netip.AddrPort
	// HostIPs are the node's addresses, the first one of the primary family.
	HostIPs     []string
	Capacity    corev1.ResourceList
	Allocatable corev1.ResourceList
	// Caps bounds ephemeral containers.
	Caps resource.Caps

	// Claimed is what all Pods but one take of the node together, a place each among it; Freed is to be called when one of them takes less.
	Claimed func(except types.UID) corev1.ResourceList
	Freed   func()

	admission sync.Mutex
	toldDNS   sync.Once
}

// Objects gives the API objects that Pods refer to.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// Handler returns the runtime handler of a RuntimeClass.
	Handler(ctx context.Context, class string) (string, error)
}

// envSource joins the API's objects with the Pod's volumes.
type envSource struct {
	Objects
	volumes *volume.Set
}

// VolumeFile is part of env.Source.
func (s envSource) VolumeFile(pod *corev1.Pod, name, path string) ([]byte, error) {
	return s.volumes.ReadFile(pod, name, path)
}

var _ env.Source = envSource{}

// Pauses between attempts, and periods.
const (
	crashFirst, crashMax = 10 * time.Second, 5 * time.Minute
	retryFirst, retryMax = time.Second, 10 * time.Second
	pullNoticed          = 2 * time.Second // how long ErrImagePull shows before ImagePullBackOff
	refreshPeriod        = time.Minute
	cleanupTimeout       = 2 * time.Minute
)

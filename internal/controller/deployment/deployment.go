// Package deployment rolls the Pods of each Deployment from one template to the next, by scaling ReplicaSets: one for
// each template that the Deployment ever had, told apart by the label pod-template-hash.
//
// It keeps to the annotations, conditions, reasons and events of kube-controller-manager, on which `kubectl rollout`
// relies.
package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/controller/ownership"
	"github.com/mayfly-run/mayfly/internal/controller/podindex"
	"github.com/mayfly-run/mayfly/internal/controller/work"
)

const workers = 5

// Config is what the controller needs.
type Config struct {
	Client      kubernetes.Interface
	Recorder    record.EventRecorder
	Deployments appsinformers.DeploymentInformer
	ReplicaSets appsinformers.ReplicaSetInformer
	Pods        coreinformers.PodInformer
}

// Controller scales ReplicaSets.
type Controller struct {
	client      kubernetes.Interface
	recorder    record.EventRecorder
	deployments appslisters.DeploymentLister
	sets        appslisters.ReplicaSetLister
	podIndex    cache.Indexer
	queue       *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		client: cfg.Client, recorder: cfg.Recorder,
		deployments: cfg.Deployments.Lister(), sets: cfg.ReplicaSets.Lister(), podIndex: cfg.Pods.Informer().GetIndexer(),
	}
	c.queue = work.New(work.Config{Name: "deployment", Workers: workers, Do: c.sync})
	if err := podindex.Add(cfg.Pods.Informer()); err != nil {
		return nil, err
	}
	if _, err := cfg.Deployments.Informer().AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch deployments: %w", err)
	}
	if _, err := cfg.ReplicaSets.Informer().AddEventHandler(c.setHandler()); err != nil {
		return nil, fmt.Errorf("watch replica sets: %w", err)
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: c.podGone}); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

func (c *Controller) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key of deployment: %w", err)
	}
	cached, err := c.deployments.Deployments(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get deployment: %w", err)
	}
	d := cached.DeepCopy()
	if equality.Semantic.DeepEqual(d.Spec.Selector, &metav1.LabelSelector{}) {
		c.recorder.Event(d, corev1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		return nil
	}
	sets, err := c.claim(ctx, d)
	if err != nil {
		return err
	}
	return c.roll(ctx, &rollout{d: d, current: find(d, sets), old: others(d, sets)})
}

// roll takes one step towards what the Deployment asks for.
func (c *Controller) roll(ctx context.Context, r *rollout) error {
	if r.d.DeletionTimestamp != nil {
		return c.report(ctx, r)
	}
	if err := c.notePause(ctx, r.d); err != nil {
		return err
	}
	isRecreate := r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
	if r.d.Spec.Paused || r.isScaling() && !isRecreate {
		if err := c.refreshCurrent(ctx, r); err != nil {
			return err
		}
		if err := c.spreadScale(ctx, r); err != nil {
			return err
		}
		if r.d.Spec.Paused {
			if err := c.cleanUp(ctx, r); err != nil {
				return err
			}
		}
		return c.report(ctx, r)
	}
	if isRecreate {
		return c.recreate(ctx, r)
	}
	return c.rolling(ctx, r)
}

// claim answers the ReplicaSets of a Deployment.
func (c *Controller) claim(ctx context.Context, d *appsv1.Deployment) ([]*appsv1.ReplicaSet, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	candidates, err := c.sets.ReplicaSets(d.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list replica sets: %w", err)
	}
	owner := ownership.Owner{
		Object: d, Kind: appsv1.SchemeGroupVersion.WithKind("Deployment"), Selector: selector,
		Live: func(ctx context.Context) (metav1.Object, error) {
			return c.client.AppsV1().Deployments(d.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
		},
	}
	return ownership.Claim(ctx, owner, candidates, func(ctx context.Context, name string, patch []byte) error {
		_, err := c.client.AppsV1().ReplicaSets(d.Namespace).Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

package rootca

import "k8s.io/client-go/tools/cache"

// changed asks for work on the namespace of a ConfigMap that somebody changed or deleted.
func (c *Controller) changed() cache.ResourceEventHandler {
	add := func(obj any) {
		k, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
		if err != nil {
			return
		}
		if namespace, _, err := cache.SplitMetaNamespaceKey(k); err == nil {
			c.queue.Add(namespace)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, obj any) { add(obj) }, DeleteFunc: add}
}

// Package pod is the storage of Pods and of everything below one: status, binding, eviction, ephemeralcontainers,
// resize, and the streams log, exec, attach, portforward and proxy.
//
// New makes them all over one store. What may be written where is decided here, by the rules of package validation;
// the streams end at the Pod's node.
package pod

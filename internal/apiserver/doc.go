// Package apiserver is the Kubernetes API server of Mayfly: the generic server of k8s.io/apiserver over etcd in the
// same process, with resources, rules, admission and authorization of its own.
//
// New assembles it and opens the store; Run serves until its context ends. The packages below each hold one part:
// scheme (kinds and conversions), storage (etcd), registry (resources), defaults and validation (rules), printer
// (tables), authn, authz, admission, openapi, loopback (clients in the same process), noise (what is no error in the
// log).
//
// A write that the disk has no room for is answered with 507 InsufficientStorage (storage); policies, webhooks and
// their CEL machinery are made when the first object that configures them exists (admission.Dynamic).
package apiserver

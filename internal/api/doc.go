// Package api holds the API kinds that Mayfly serves and k8s.io/api does not have.
//
// EphemeralContainers (core v1, Kubernetes v1.16 to v1.21) is what the subresource pods/ephemeralcontainers spoke
// before it took a whole Pod. Old clients still send and expect it.
//
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.k8s.api.core.v1
package api

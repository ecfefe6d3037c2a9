// Package authz decides what a user may do: RBAC over the roles and bindings that are stored, and a node authorizer
// that gives each node what its Pods need.
//
// Bootstrap makes the roles and bindings that a fresh cluster has; the names and rules are kube-apiserver's as far as
// the resources are served here, and mayfly:debugger is ours.
package authz

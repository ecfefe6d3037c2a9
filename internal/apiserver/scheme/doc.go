// Package scheme says which API kinds the server knows and how they convert into each other.
//
// There is one set of Go types, the published ones of k8s.io/api: each is registered under its external version and
// under the internal version as well, so that nothing is converted between wire, handlers and storage. Two kinds are
// the exceptions: events.k8s.io/v1 Event shares storage with core's Event, and core's old EphemeralContainers is
// taken as a Pod (see EphemeralContainersMark). An Eviction of policy/v1beta1 is taken as one of v1.
package scheme

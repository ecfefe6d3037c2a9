// Package status computes a Pod's status from what the runtime knows, and writes it to the API server.
//
// [Compute] is pure: the Pod's spec and last status, the runtime's picture, the probes' results and the reasons why
// containers wait go in, a PodStatus comes out. [Writer] brings it to the API at once, one Pod independent of
// the other, each write a patch of just the fields that changed, bound to the Pod's UID.
//
// The node is authoritative for the whole status but the conditions that others own (PodScheduled, readiness gates).
package status

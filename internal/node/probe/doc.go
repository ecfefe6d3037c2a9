// Package probe watches the health of a running container: startup, liveness and readiness probes by exec, HTTP, TCP
// and gRPC.
//
// A [Group] belongs to one run of one container. Its owner reads Started, Ready and Failed, and is called back when
// one of them changes; it decides what to do about it.
//
//	started ── startup probe succeeds (at once without one) ──▶ liveness and readiness begin
//	startup or liveness fails failureThreshold times in a row ──▶ Failed: the owner restarts the container
package probe

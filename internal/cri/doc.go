// Package cri is the container runtime: it serves the Kubernetes Container Runtime Interface, v1, on a unix socket.
// Each file holds one call and is named after it; the work is done below:
//
//	sandbox/    what the containers of a Pod share: namespaces, files, the monitor
//	container/  create, start, stop, find again, remove, exec
//	spec/       a CRI container → an OCI runtime specification
//	cdi/        devices by name
//	nri/        plugins that have a say in Pods and containers
//	stream/     the server behind exec, attach and port-forward
//	state/      what is remembered on disk
//	image/      images, and the CRI's ImageService
//	network/    addresses, the bridge, host ports
//
// Processes are children of their Pod's monitor (internal/launch/monitor), never of this one: a [Server] may stop, die
// and be replaced at any moment, and the next one finds every container again, with its exit code if it has ended.
//
// Start at [New].
package cri

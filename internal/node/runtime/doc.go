// Package runtime is the node's side of the CRI: a connection, what the runtime knows of one Pod, and its events.
//
// The runtime is authoritative for everything that exists on the machine: sandboxes, containers, their states and
// exit codes. The agent keeps no record of its own; [Client.Pod] rebuilds one Pod's picture from labels, which the
// agent put on everything it made:
//
//	io.kubernetes.pod.uid          whose it is
//	io.kubernetes.container.name   which container of the Pod
//
// Start at [Dial], then [Client.Pod] and [Client.Watch].
package runtime

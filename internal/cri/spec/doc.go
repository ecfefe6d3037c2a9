// Package spec turns what the CRI asks of a container into an OCI runtime specification, which the launch compiler
// understands. [Container] is the entry; it reads nothing but its [Input] and the named host paths, so that its
// output can be compared with golden files.
//
// What the client leaves open gets containerd's defaults: its fourteen capabilities, no seccomp profile unless one is
// asked for, masked and read-only paths, and the usual file systems under /proc, /dev and /sys. Sources of facts: the comments of
// k8s.io/cri-api's api.proto, the OCI runtime specification 1.3, containerd 2.4's observable behaviour.
package spec

// Package stream serves exec, attach and port-forward: the CRI answers these calls with a URL, and this package is
// the server behind it. URLs hold an unguessable token that is good once and for a minute; the listener is on the
// loopback interface alone.
//
// The protocols (SPDY and WebSocket, every version that Kubernetes knows) are k8s.io/cri-streaming's. What is added
// here: [Server] notices a client that is gone even where nothing is being written, and [Pump] moves output with large
// reads, ends with the process rather than with whoever inherited its pipes, and loses nothing that it wrote.
package stream

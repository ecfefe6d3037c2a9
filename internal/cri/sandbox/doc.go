// Package sandbox makes and unmakes what the containers of one Pod share: namespaces, the files that are bound into
// each of them, and the tmpfs behind /dev/shm.
//
// There is no process behind it. [Namespaces.Make] unshares on a thread that is thrown away and keeps the namespaces
// by bind mounts below the run directory, where `ip netns`, CNI plugins and a successor of this process find them:
//
//	<run>/netns/<id>     network
//	<run>/ns/<id>.ipc    System V IPC and POSIX message queues
//	<run>/ns/<id>.uts    hostname
//	<run>/shm/<id>       /dev/shm
//
// Every Make has a Remove that also finishes half-made things and may be called any number of times.
package sandbox

// Package pod drives one Pod from its spec to running containers and back to nothing. There is one [Worker] per Pod,
// with one goroutine that decides and short-lived tasks that do what may take time.
//
// A guided tour:
//
//	worker.go      what a Worker knows; the loop: wake, look, decide, report
//	decide.go      the rules: which sandbox, containers and kills the present picture calls for (pure)
//	advance.go     carrying the decision out
//	sandbox.go     making the Pod's sandbox
//	container.go   starting one container: image, config, create, start, postStart
//	renew.go       starting all containers anew when one's rule asks for it
//	resize.go      changing a running container's resources
//	usage.go       ending a Pod whose emptyDir outgrows its limit
//	later.go       events that give way to the status
//	target.go      what an ephemeral container's target has to do with its start
//	config.go      the CRI's ContainerConfig; mount.go its mounts
//	kill.go        stopping containers with grace; hook.go lifecycle hooks
//	terminate.go   ending the Pod, and removing it once the API wants it gone
//	static.go      Pods that a file asks for
//	report.go      status and termination messages
//
// Whatever happens (the API's watch, an event of the runtime, the end of a task, a probe, a timer) only wakes the
// Worker. It then looks at the whole picture again, so that nothing depends on the order or completeness of events,
// and a restarted agent goes on where the old one stopped.
//
// Authority: the API server for what should be, the runtime for what is. An ephemeral container runs at most once:
// one that the runtime or the status ever knew is never made again (see decide.go).
package pod

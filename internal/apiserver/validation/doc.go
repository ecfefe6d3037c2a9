// Package validation holds the rules that objects must keep, with the verdicts of kube-apiserver 1.37.2: the same
// field paths, the same error types and the message texts that clients rely on.
//
// Every function is pure and works on the external types after package defaults has run. XCreate judges a new object,
// XUpdate judges what an object becomes, given what it was. An empty list means accepted. Rules that need other
// objects (quota, admission, RBAC) live elsewhere.
//
// Pods come first: start at [PodCreate], [PodUpdate] and [PodEphemeralContainersUpdate]; [DropDisabledPodFields] runs
// before them and removes what the release's disabled feature gates take away.
package validation

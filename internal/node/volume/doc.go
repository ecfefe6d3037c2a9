// Package volume prepares a Pod's volumes on the host and says where each is, so that they can be bind-mounted into
// its containers: emptyDir, hostPath, configMap, secret, downwardAPI and projected, service account tokens included.
//
// Everything of a Pod is below one directory, laid out as the kubelet's:
//
//	pods/<uid>/volumes/kubernetes.io~<kind>/<name>   the volumes
//	pods/<uid>/volume-subpaths/<volume>/<container>/ bind mounts of subPaths
//	pods/<uid>/containers/<name>/                    termination messages
//	pods/<uid>/etc-hosts                             the Pod's /etc/hosts
//
// [Set.Prepare] is idempotent and also refreshes what may have changed; [Set.Remove] leaves no mount behind.
// Kinds that the node cannot provide are told by [Unsupported], before anything of the Pod is started.
package volume

// Package image makes sure that a container's image is on the machine: pull policies, credentials from the Pod's
// imagePullSecrets, back-off after a failed pull, and the kubelet's events about all of it.
//
// The runtime's image service pulls and keeps images. [Puller.Ensure] is one container's question to it;
// [Collector.Collect] removes what nobody uses when the disk is short of space.
package image

// Package manifest reads static Pods: those that a node runs because a file in a directory asks for them, not the API.
// The directory, its rules and the annotations are the kubelet's (staticPodPath).
//
// Start at [Directory.Read]; [Decode] makes a Pod of one file.
package manifest

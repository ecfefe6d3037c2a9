// Package image keeps container images on disk and serves the CRI's ImageService from them.
//
// It is containerd's own libraries in this process: a content store (compressed layers, manifests, configurations), an
// overlay snapshotter (one unpacked directory per layer), and a bbolt database that ties both together and collects
// what nothing refers to. What is added here: an index in memory, so that no container waits for the database; the
// rule that an image in use stays on disk; limits against hostile content; the registry's reason in every error.
//
// Start at Store. A container's life with it:
//
//	img, err := store.Rootfs(ctx, ref, containerID) // pins the image; costs microseconds
//	… mount overlay with lowerdir=strings.Join(img.Lower, ":") …
//	store.Release(containerID)                      // after the container is removed
//
// Pins live in memory alone. After a restart, call Rootfs for every container that is still known, by its image's ID,
// then Settle once; until then no image's content is given up. Removing an image that is pinned takes its names away
// at once and its content when the last pin goes.
//
// The package engine, below, serves a store to the command line and to Docker clients.
package image

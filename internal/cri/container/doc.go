// Package container keeps the containers of all sandboxes: it creates, starts, stops, finds and removes them, and runs
// processes inside them. The monitor of a container's sandbox is authoritative for whether its process runs; this
// package is for what was asked, whether it was ever started, and how it ended.
//
// Life of a container:
//
//	Create → created ── Start ──→ running ── exit, Stop, death of the monitor ──→ exited ── Remove
//	                      └─ launch that failed ───────────────────────────────────┘
//
// Two rules hold through every crash. That a start is about to happen is on disk before it happens, and never taken
// back: a container runs once at most. And a record is the last thing that Create writes and Remove deletes: what has
// no record is not a container, and [Service.Recover] clears it away.
//
// On disk, below the root directory:
//
//	state/containers/<id>.json       the record
//	containers/<id>/config.json      the OCI specification
//	containers/<id>/{upper,work}     the writable layer
//	containers/<id>/rootfs           an empty directory; the root is mounted on it in the container's mount namespace alone
package container

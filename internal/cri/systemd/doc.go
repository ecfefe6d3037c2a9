// Package systemd asks systemd for units of cgroups: a slice for each Pod, as its client names it, and in it a scope, which
// systemd leaves to Mayfly (org.freedesktop.systemd1(5), systemd.scope(5), "Control Group APIs and Delegation").
//
// Start at [Manager]. It speaks over systemd's own socket, so no bus needs to run. Each call has a connection of its own:
// there are two in a Pod's life.
package systemd

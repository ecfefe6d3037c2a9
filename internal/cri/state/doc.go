// Package state keeps what the runtime must remember of its sandboxes and containers across its own death: one small
// JSON file each, written whole and renamed into place.
//
//	<root>/sandboxes/<id>.json
//	<root>/containers/<id>.json
//	<root>/quarantine/…            files that could not be read, kept for a person to look at
//
// The files are authoritative for what was asked and for facts that no process can tell any more: that a container
// has been started once, how it ended. Whether something runs is the monitor's to say; the caller asks it after
// [Store.Load] and writes down what it learnt.
//
// A write survives the death of the process at once (rename), and of the machine shortly after: [Store.Save] hands
// the file to a flusher instead of waiting for the disk, because no container outlives the machine anyway.
package state

// Package launch starts a process by running a list of system calls.
//
// A launch program is data: a flat list of calls, a block of memory that they
// refer to, and a number of descriptors that travel beside it. It is made by
// package compile from an OCI runtime configuration, printed by String, carried
// over a socket by MarshalBinary and run by Run in a child made with
// clone3(CLONE_VM|CLONE_VFORK). What enters a PID namespace that others live in is born
// there (Spawn.PIDs). Where one of them may trace, it is forked (OpFork) once it has left
// the host instead, since who traces it must reach nothing but the container. Whoever runs a program knows nothing about
// containers; whatever a container needs is in the program, where a test can
// compare it and a person can read it.
package launch

// Limits of a program; the decoder refuses what exceeds them.
const (
	MaxCalls = 8192
	MaxData  = 4 << 20
	MaxFiles = 240
	MaxSlots = 4096
)

// Files that every program may refer to; those that travel with the program
// follow from FirstFile on.
const (
	FileStdin   = iota // the child's end of standard input
	FileStdout         // the child's end of standard output
	FileStderr         // the child's end of standard error
	FileControl        // a SEQPACKET socket on which a terminal's master is sent up
	FileTarget         // a pidfd of the container that an exec enters
	FileSelf           // the executable of the monitor itself
	FirstFile          // the first file of the program's own
)

// Program is a compiled launch. The zero value runs nothing.
type Program struct {
	// Spawn says how the child is made.
	Spawn Spawn
	// Files is the number of descriptors that must travel with the program.
	Files int
	// Slots is the number of results that calls keep for later calls.
	Slots int
	// Data is the memory that arguments point into; it is writable.
	Data []byte
	// Relocs lists where addresses are written into Data before the start.
	Relocs []Reloc
	// Calls run in order.
	Calls []Call
}

// Spawn holds the arguments of clone3.
type Spawn struct {
	// Flags are CLONE_NEW* flags.
	Flags uint64
	// Cgroup is the file of a cgroup v2 directory to be born into; -1 for none.
	Cgroup int
	// PIDs is the file of a PID namespace to be born into; -1 for none. Until its execve the child has the monitor's
	// memory and the host's root, so nobody in there may have CAP_SYS_PTRACE on the host.
	PIDs int
}

// Reloc asks that Data[At:At+8] holds the address of Data[Target].
type Reloc struct {
	At, Target uint32
}

// Policy says what a failure of a call means.
type Policy uint8

const (
	// Must ends the launch when the call fails.
	Must Policy = iota
	// May goes on whether or not the call succeeds.
	May
	// Else skips the next Skip calls when the call succeeds, and goes on when it fails.
	Else
	// Try goes on when the call fails and remembers the most telling error for OpFail;
	// a lack of the file (ENOENT, ENOTDIR) tells less than anything else.
	Try
	// Find is Else, but lets only a lack of the file pass: any other failure ends the launch.
	Find
)

// skips tells whether a call's success skips others.
func (p Policy) skips() bool { return p == Else || p == Find }

// Calls that are no system calls.
const (
	// OpEqual compares the little-endian word of args[1] bytes (4 or 8) at args[0], after
	// masking with args[2], with args[3]; it fails with EXDEV when they differ.
	OpEqual = 0x10000 + iota
	// OpStore writes args[1] as a 32-bit word to args[0].
	OpStore
	// OpFail fails with the error that Try remembered, else with args[0].
	OpFail
	// OpSkip does nothing and succeeds; with Else it skips calls.
	OpSkip
	// OpFork lets the rest run in a child with memory of its own, born into the PID
	// namespace of the file args[0]; the one before it ends. A program has one at most.
	OpFork
	opEnd
)

// Call is one step of a program.
type Call struct {
	// Nr is a system call number of the machine, or an Op.
	Nr uint32
	// Policy and Skip say how the run goes on.
	Policy Policy
	Skip   uint16
	// Slot, when not 0, keeps the result under this number.
	Slot uint16
	Args [6]Arg
	// Note tells a person what the call is for, as in "mount proc on /proc". It is not encoded.
	Note string
}

// Kind says how an argument is made.
type Kind uint8

const (
	Const Kind = iota // Value itself
	Data              // the address of Data[Value]
	File              // the descriptor of file Value
	Slot              // the result kept in slot Value
)

// Arg is one argument of a call.
type Arg struct {
	Kind  Kind
	Value uint64
}

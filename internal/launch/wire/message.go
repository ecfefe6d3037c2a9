package wire

import (
	"errors"
	"syscall"
)

// Kind of a message. Requests carry a number that their reply repeats.
type Kind uint8

const (
	Start Kind = iota + 1
	Exec
	Attach
	Resize
	CloseStdin
	ReopenLog
	Signal
	List
	Remove
	Shutdown
	ExecSignal
	// Reply answers a request; Event and ExecExit come on their own.
	Reply
	Event
	ExecExit
)

const (
	// MaxMessage is the size of the largest packet; a larger body travels in a memory
	// file, which is then the first descriptor.
	MaxMessage = 64 << 10
	// MaxBody limits what a memory file may hold.
	MaxBody = 16 << 20
	// MaxFiles is the kernel's limit of descriptors in one packet.
	MaxFiles = 253

	maxPath = 4096
)

// Header starts every packet.
type Header struct {
	Seq    uint32
	Kind   Kind
	InFile bool
}

// HeaderSize is the size of an encoded header.
const HeaderSize = 6

// Encode appends the header.
func (h Header) Encode(w *Writer) {
	w.U32(h.Seq)
	w.U8(uint8(h.Kind))
	w.Bool(h.InFile)
}

// DecodeHeader takes the header.
func DecodeHeader(r *Reader) Header {
	return Header{Seq: r.U32(), Kind: Kind(r.U8()), InFile: r.Bool()}
}

// StartBody asks for a container. The program's files travel beside it.
type StartBody struct {
	ID, LogPath, KillDir, OOMFile string
	TTY, Stdin, StdinOnce         bool
	Program                       []byte
}

// Encode appends the body.
func (b *StartBody) Encode(w *Writer) {
	w.String(b.ID)
	w.String(b.LogPath)
	w.String(b.KillDir)
	w.String(b.OOMFile)
	w.Bool(b.TTY)
	w.Bool(b.Stdin)
	w.Bool(b.StdinOnce)
	w.Bytes(b.Program)
}

// Decode takes the body.
func (b *StartBody) Decode(r *Reader) error {
	*b = StartBody{ID: r.String(maxPath), LogPath: r.String(maxPath), KillDir: r.String(maxPath), OOMFile: r.String(maxPath)}
	b.TTY, b.Stdin, b.StdinOnce = r.Bool(), r.Bool(), r.Bool()
	b.Program = r.Bytes(MaxBody)
	return r.Close()
}

// ExecBody asks for a process in a container. Without TTY the first three files are its
// streams; the program's follow.
type ExecBody struct {
	ID      string
	Exec    uint64 // names the process for ExecSignal and ExecExit
	TTY     bool
	Program []byte
}

// Encode appends the body.
func (b *ExecBody) Encode(w *Writer) {
	w.String(b.ID)
	w.U64(b.Exec)
	w.Bool(b.TTY)
	w.Bytes(b.Program)
}

// Decode takes the body.
func (b *ExecBody) Decode(r *Reader) error {
	*b = ExecBody{ID: r.String(maxPath), Exec: r.U64(), TTY: r.Bool(), Program: r.Bytes(MaxBody)}
	return r.Close()
}

// ControlBody serves the other requests, which each look at what they need. For Attach,
// A says which of stdin (1), stdout (2) and stderr (4) travel as files. For Resize, A is
// the width and B the height. For Signal, A is the signal and B, when not 0, asks for all.
type ControlBody struct {
	ID   string
	Exec uint64
	A, B uint32
}

// Encode appends the body.
func (b *ControlBody) Encode(w *Writer) {
	w.String(b.ID)
	w.U64(b.Exec)
	w.U32(b.A)
	w.U32(b.B)
}

// Decode takes the body.
func (b *ControlBody) Decode(r *Reader) error {
	*b = ControlBody{ID: r.String(maxPath), Exec: r.U64(), A: r.U32(), B: r.U32()}
	return r.Close()
}

// Status of a container; times in nanoseconds since 1970, 0 for never.
type Status struct {
	ID                    string
	Phase                 uint8 // 1 running, 2 exited
	PID                   uint32
	StartedAt, FinishedAt int64
	ExitCode, Signal      uint32
	OOMKilled             bool
}

// Encode appends the status.
func (s *Status) Encode(w *Writer) {
	w.String(s.ID)
	w.U8(s.Phase)
	w.U32(s.PID)
	w.I64(s.StartedAt)
	w.I64(s.FinishedAt)
	w.U32(s.ExitCode)
	w.U32(s.Signal)
	w.Bool(s.OOMKilled)
}

// Decode takes a status.
func (s *Status) Decode(r *Reader) {
	*s = Status{ID: r.String(maxPath), Phase: r.U8(), PID: r.U32(), StartedAt: r.I64(), FinishedAt: r.I64(), ExitCode: r.U32(), Signal: r.U32(), OOMKilled: r.Bool()}
}

// EncodeList appends many.
func EncodeList(w *Writer, list []Status) {
	w.U32(uint32(len(list)))
	for i := range list {
		list[i].Encode(w)
	}
}

// DecodeList takes many.
func DecodeList(r *Reader) []Status {
	list := make([]Status, r.Len(1<<20, 34))
	for i := range list {
		list[i].Decode(r)
	}
	return list
}

// ReplyBody answers. Errno is 0 for success. A failed launch says which call failed.
type ReplyBody struct {
	Errno  syscall.Errno
	Launch bool  // the call of a program failed
	Call   int32 // its number; -1 when no process could be made
	PID    uint32
	List   []Status
}

// Encode appends the body.
func (b *ReplyBody) Encode(w *Writer) {
	w.U32(uint32(b.Errno))
	w.Bool(b.Launch)
	w.U32(uint32(b.Call))
	w.U32(b.PID)
	EncodeList(w, b.List)
}

// Decode takes the body.
func (b *ReplyBody) Decode(r *Reader) error {
	*b = ReplyBody{Errno: syscall.Errno(r.U32()), Launch: r.Bool(), Call: int32(r.U32()), PID: r.U32()}
	b.List = DecodeList(r)
	return r.Close()
}

// stateMagic starts a state file; its last letter is the version.
const stateMagic = "mayfly-monitor-1"

// ErrState is a state file that cannot be read.
var ErrState = errors.New("not a monitor's state file")

// EncodeState makes the content of a state file.
func EncodeState(list []Status) []byte {
	w := Writer{B: []byte(stateMagic)}
	EncodeList(&w, list)
	return w.B
}

// DecodeState reads the content of a state file.
func DecodeState(b []byte) ([]Status, error) {
	if len(b) < len(stateMagic) || string(b[:len(stateMagic)]) != stateMagic {
		return nil, ErrState
	}
	r := NewReader(b[len(stateMagic):])
	list := DecodeList(r)
	if err := r.Close(); err != nil {
		return nil, errors.Join(ErrState, err)
	}
	return list, nil
}

// Package wire encodes what the server and a monitor say to each other:
// little-endian integers and length-prefixed bytes, without reflection, so that
// the monitor stays small. A Reader never panics and keeps its first error.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is what a Reader keeps when the input does not fit.
var ErrMalformed = errors.New("malformed message")

// Writer appends to B.
type Writer struct{ B []byte }

// U8 appends a byte.
func (w *Writer) U8(v uint8) { w.B = append(w.B, v) }

// U16 appends 16 bits.
func (w *Writer) U16(v uint16) { w.B = binary.LittleEndian.AppendUint16(w.B, v) }

// U32 appends 32 bits.
func (w *Writer) U32(v uint32) { w.B = binary.LittleEndian.AppendUint32(w.B, v) }

// U64 appends 64 bits.
func (w *Writer) U64(v uint64) { w.B = binary.LittleEndian.AppendUint64(w.B, v) }

// I64 appends a signed number.
func (w *Writer) I64(v int64) { w.U64(uint64(v)) }

// Bool appends a byte of 0 or 1.
func (w *Writer) Bool(v bool) {
	if v {
		w.U8(1)
	} else {
		w.U8(0)
	}
}

// Bytes appends a length and the bytes.
func (w *Writer) Bytes(v []byte) {
	w.U32(uint32(len(v)))
	w.B = append(w.B, v...)
}

// String appends a length and the text.
func (w *Writer) String(v string) {
	w.U32(uint32(len(v)))
	w.B = append(w.B, v...)
}

// Reader takes values off the front of its input.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b, which must not change meanwhile.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err is ErrMalformed once something did not fit.
func (r *Reader) Err() error { return r.err }

// Close is Err, and complains of input that is left.
func (r *Reader) Close() error {
	if r.err == nil && len(r.b) != 0 {
		r.err = ErrMalformed
	}
	return r.err
}

// Fail makes the reader malformed.
func (r *Reader) Fail() { r.err = ErrMalformed; r.b = nil }

func (r *Reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.Fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Skip leaves out n bytes.
func (r *Reader) Skip(n int) { r.take(n) }

// U8 takes a byte.
func (r *Reader) U8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

// U16 takes 16 bits.
func (r *Reader) U16() uint16 {
	if v := r.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

// U32 takes 32 bits.
func (r *Reader) U32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

// U64 takes 64 bits.
func (r *Reader) U64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// I64 takes a signed number.
func (r *Reader) I64() int64 { return int64(r.U64()) }

// Bool takes a byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.Fail()
	}
	return v == 1
}

// Bytes takes a length of at most limit and that many bytes, which alias the input.
func (r *Reader) Bytes(limit int) []byte {
	n := r.U32()
	if uint64(n) > uint64(limit) {
		r.Fail()
		return nil
	}
	return r.take(int(n))
}

// String is Bytes as text.
func (r *Reader) String(limit int) string { return string(r.Bytes(limit)) }

// Len takes a count of elements that each need at least size bytes of input.
func (r *Reader) Len(limit, size int) int {
	n := r.U32()
	if uint64(n) > uint64(limit) || int(n)*size > len(r.b) {
		r.Fail()
		return 0
	}
	return int(n)
}

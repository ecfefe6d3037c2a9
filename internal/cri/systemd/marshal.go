package systemd

import "encoding/binary"

// encoder writes values as "Marshaling" of the D-Bus specification has it, little-endian.
type encoder struct{ data []byte }

func (e *encoder) align(n int) {
	for len(e.data)%n != 0 {
		e.data = append(e.data, 0)
	}
}

func (e *encoder) uint32(v uint32) {
	e.align(4)
	e.data = binary.LittleEndian.AppendUint32(e.data, v)
}

// text writes a string or an object path.
func (e *encoder) text(s string) {
	e.uint32(uint32(len(s)))
	e.data = append(append(e.data, s...), 0)
}

func (e *encoder) signature(s string) {
	e.data = append(append(append(e.data, byte(len(s))), s...), 0)
}

// array writes its length before its elements, which start at a multiple of align.
func (e *encoder) array(align int, elements func()) {
	e.uint32(0)
	at := len(e.data)
	e.align(align)
	start := len(e.data)
	elements()
	binary.LittleEndian.PutUint32(e.data[at-4:], uint32(len(e.data)-start))
}

// property writes a struct of a name and a variant, (sv).
func (e *encoder) property(name, kind string, value func()) {
	e.align(8)
	e.text(name)
	e.signature(kind)
	value()
}

// field writes a header field, (yv).
func (e *encoder) field(code byte, kind string, value func()) {
	e.align(8)
	e.data = append(e.data, code)
	e.signature(kind)
	value()
}

// decoder reads values.
type decoder struct {
	data []byte
	at   int
}

func (d *decoder) align(n int) { d.at = (d.at + n - 1) / n * n }

// take returns the next n bytes.
func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || d.at > len(d.data) || n > len(d.data)-d.at {
		return nil, errMalformed
	}
	out := d.data[d.at : d.at+n]
	d.at += n
	return out, nil
}

func (d *decoder) byte() (byte, error) {
	b, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (d *decoder) uint32() (uint32, error) {
	d.align(4)
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (d *decoder) text() (string, error) {
	n, err := d.uint32()
	if err != nil {
		return "", err
	}
	return d.terminated(int(n))
}

func (d *decoder) signature() (string, error) {
	n, err := d.byte()
	if err != nil {
		return "", err
	}
	return d.terminated(int(n))
}

// terminated reads n bytes and the zero after them.
func (d *decoder) terminated(n int) (string, error) {
	b, err := d.take(n)
	if err != nil {
		return "", err
	}
	if end, err := d.byte(); err != nil || end != 0 {
		return "", errMalformed
	}
	return string(b), nil
}

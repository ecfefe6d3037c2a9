package systemd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kinds of messages, and header fields: "Message Format" of the D-Bus specification.
const (
	kindCall  = 1
	kindError = 3

	fieldPath      = 1
	fieldInterface = 2
	fieldMember    = 3
	fieldError     = 4
	fieldReply     = 5
	fieldSignature = 8

	littleEndian = 'l'
	version      = 1
	// limit is far above what systemd sends of jobs.
	limit = 1 << 20
)

var errMalformed = errors.New("malformed D-Bus message")

// encodeCall makes a call of a method of systemd's manager.
func encodeCall(serial uint32, method, signature string, body []byte) []byte {
	e := &encoder{data: []byte{littleEndian, kindCall, 0, version}}
	e.uint32(uint32(len(body)))
	e.uint32(serial)
	e.array(8, func() {
		e.field(fieldPath, "o", func() { e.text("/org/freedesktop/systemd1") })
		e.field(fieldInterface, "s", func() { e.text("org.freedesktop.systemd1.Manager") })
		e.field(fieldMember, "s", func() { e.text(method) })
		e.field(fieldSignature, "g", func() { e.signature(signature) })
	})
	e.align(8)
	return append(e.data, body...)
}

// message is one that came, as far as anybody here asks.
type message struct {
	kind            byte
	reply           uint32 // serial of the call that it answers
	member, failure string
	body            decoder
}

// readMessage reads the next message.
func readMessage(r io.Reader) (*message, error) {
	var fixed [16]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return nil, err
	}
	if fixed[0] != littleEndian || fixed[3] != version {
		return nil, fmt.Errorf("byte order %q, version %d: %w", fixed[0], fixed[3], errMalformed)
	}
	body, fields := binary.LittleEndian.Uint32(fixed[4:]), binary.LittleEndian.Uint32(fixed[12:])
	if body > limit || fields > limit {
		return nil, fmt.Errorf("%d bytes after %d of header: %w", body, fields, errMalformed)
	}
	header := (int(fields) + 7) &^ 7
	rest := make([]byte, header+int(body))
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	m := &message{kind: fixed[1], body: decoder{data: rest[header:]}}
	return m, m.readFields(decoder{data: rest[:fields]})
}

// readFields reads an array of (yv); the array begins at a multiple of eight bytes.
func (m *message) readFields(d decoder) error {
	for len(d.data) > d.at {
		d.align(8)
		code, err := d.byte()
		if err != nil {
			return err
		}
		kind, err := d.signature()
		if err != nil {
			return err
		}
		switch kind {
		case "s", "o":
			text, err := d.text()
			if err != nil {
				return err
			}
			switch code {
			case fieldMember:
				m.member = text
			case fieldError:
				m.failure = text
			}
		case "g":
			_, err = d.signature()
		case "u":
			var n uint32
			if n, err = d.uint32(); code == fieldReply {
				m.reply = n
			}
		default:
			return fmt.Errorf("header field %d of type %q: %w", code, kind, errMalformed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// jobRemoved reads the signal JobRemoved: u id, o job, s unit, s result.
func (m *message) jobRemoved() (job, result string, _ error) {
	d := m.body
	_, err := d.uint32()
	var unit string
	for _, to := range []*string{&job, &unit, &result} {
		if err == nil {
			*to, err = d.text()
		}
	}
	return job, result, err
}

package state

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Version is the schema that this program writes. Files of a higher version are refused, never rewritten.
const Version = 1

// Proto holds a message of the CRI inside a record, in its JSON form, so that a person can read the file and a later
// program with more fields can too.
type Proto[T proto.Message] struct{ Message T }

// MarshalJSON implements json.Marshaler.
func (p Proto[T]) MarshalJSON() ([]byte, error) {
	return protojson.Marshal(p.Message)
}

// UnmarshalJSON implements json.Unmarshaler. Fields that this program does not know are dropped.
func (p *Proto[T]) UnmarshalJSON(data []byte) error {
	p.Message = p.Message.ProtoReflect().Type().New().Interface().(T)
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, p.Message)
}

// envelope is what every file looks like: the version outside, so that it can be judged before the rest.
type envelope struct {
	Version int             `json:"version"`
	ID      string          `json:"id"`
	Record  json.RawMessage `json:"record"`
}

// encode writes a record in its envelope.
func encode(id string, record any) ([]byte, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", id, err)
	}
	return json.Marshal(envelope{Version: Version, ID: id, Record: body})
}

// Decode reads a record out of its envelope. id is the name under which the file was found and must agree.
func Decode(data []byte, id string, record any) error {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("not a state file: %w", err)
	}
	switch {
	case e.Version > Version:
		return fmt.Errorf("written by a newer program (version %d, this one knows %d)", e.Version, Version)
	case e.Version < 1:
		return fmt.Errorf("no version in it")
	case e.ID != id:
		return fmt.Errorf("it speaks of %q", e.ID)
	}
	if err := json.Unmarshal(e.Record, record); err != nil {
		return fmt.Errorf("record in it: %w", err)
	}
	return nil
}

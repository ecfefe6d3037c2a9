package api

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields' numbers in the message k8s.io.api.core.v1.EphemeralContainers, as Kubernetes v1.16 to v1.21 had it.
const (
	metadataField            protowire.Number = 1
	ephemeralContainersField protowire.Number = 2
)

// Reset implements what the protobuf serializer calls before it decodes.
func (in *EphemeralContainers) Reset() { *in = EphemeralContainers{} }

// ProtoMessage marks the type as a protobuf message.
func (*EphemeralContainers) ProtoMessage() {}

// Marshal encodes the message; TypeMeta travels in the envelope around it.
func (in *EphemeralContainers) Marshal() ([]byte, error) {
	meta, err := in.ObjectMeta.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	out := appendMessage(nil, metadataField, meta)
	for i := range in.EphemeralContainers {
		c, err := in.EphemeralContainers[i].Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode ephemeral container %q: %w", in.EphemeralContainers[i].Name, err)
		}
		out = appendMessage(out, ephemeralContainersField, c)
	}
	return out, nil
}

func appendMessage(b []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), message)
}

// Unmarshal decodes data over what is there; unknown fields are skipped, as protobuf has it.
func (in *EphemeralContainers) Unmarshal(data []byte) error {
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("decode EphemeralContainers: %w", protowire.ParseError(n))
		}
		data = data[n:]
		if kind != protowire.BytesType || field != metadataField && field != ephemeralContainersField {
			if n = protowire.ConsumeFieldValue(field, kind, data); n < 0 {
				return fmt.Errorf("decode EphemeralContainers: field %d: %w", field, protowire.ParseError(n))
			}
			data = data[n:]
			continue
		}
		message, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return fmt.Errorf("decode EphemeralContainers: field %d: %w", field, protowire.ParseError(n))
		}
		data = data[n:]
		if err := in.set(field, message); err != nil {
			return err
		}
	}
	return nil
}

func (in *EphemeralContainers) set(field protowire.Number, message []byte) error {
	if field == metadataField {
		var meta metav1.ObjectMeta
		if err := meta.Unmarshal(message); err != nil {
			return fmt.Errorf("decode metadata: %w", err)
		}
		in.ObjectMeta = meta
		return nil
	}
	var c corev1.EphemeralContainer
	if err := c.Unmarshal(message); err != nil {
		return fmt.Errorf("decode ephemeral container: %w", err)
	}
	in.EphemeralContainers = append(in.EphemeralContainers, c)
	return nil
}

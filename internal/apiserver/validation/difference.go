package validation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/util/diff"
)

// difference is what an error shows of a refused change: a unified diff of both values as JSON with Go field names,
// in the order of the Go type, which is how kube-apiserver shows it.
func difference(before, now any) string {
	return diff.Diff(goNames(before), goNames(now))
}

// goNames makes an error show a value with Go field names, as kube-apiserver shows its internal types.
func goNames(value any) any { return named{reflect.ValueOf(value)} }

// named marshals a value with Go field names in place of its JSON names.
type named struct{ value reflect.Value }

// MarshalJSON implements json.Marshaler.
func (n named) MarshalJSON() ([]byte, error) {
	v := n.value
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return []byte("null"), nil
		}
	case reflect.Slice, reflect.Map:
		if v.IsNil() {
			return []byte("null"), nil
		}
	}
	if m, ok := v.Interface().(json.Marshaler); ok {
		return m.MarshalJSON()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return named{v.Elem()}.MarshalJSON()
	case reflect.Struct:
		return n.object()
	case reflect.Slice:
		list := make([]named, v.Len())
		for i := range list {
			list[i] = named{v.Index(i)}
		}
		return json.Marshal(list)
	case reflect.Map:
		entries := map[string]named{}
		for _, key := range v.MapKeys() {
			entries[key.String()] = named{v.MapIndex(key)}
		}
		return json.Marshal(entries)
	}
	return json.Marshal(v.Interface())
}

// object writes a struct; an embedded struct's fields stand in line, as encoding/json has them.
func (n named) object() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	if err := n.fields(&out); err != nil {
		return nil, err
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func (n named) fields(out *bytes.Buffer) error {
	for i := range n.value.NumField() {
		f := n.value.Type().Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if err := (named{n.value.Field(i)}).fields(out); err != nil {
				return err
			}
			continue
		}
		body, err := json.Marshal(named{n.value.Field(i)})
		if err != nil {
			return fmt.Errorf("marshal %s: %w", f.Name, err)
		}
		if out.Len() > 0 && out.Bytes()[out.Len()-1] != '{' {
			out.WriteByte(',')
		}
		fmt.Fprintf(out, "%q:%s", f.Name, body)
	}
	return nil
}

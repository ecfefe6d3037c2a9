// Package env makes a container's environment: envFrom, env with every kind of valueFrom, and $(NAME) expansion.
//
// [Build] needs only a [Source] for the objects and files that variables refer to. A reference that cannot be
// resolved is an error that names it; the container then waits with reason CreateContainerConfigError.
package env

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Source gives the objects that variables refer to.
type Source interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// VolumeFile reads a file of one of the Pod's volumes.
	VolumeFile(pod *corev1.Pod, volume, path string) ([]byte, error)
}

// Input is everything that a container's environment depends on.
type Input struct {
	Pod         *corev1.Pod
	Container   *corev1.Container
	Addresses   Addresses
	Allocatable corev1.ResourceList
	// Extra are variables that the node adds in front; the container's own win.
	Extra map[string]string
}

// Vars is a built environment: the order of definition, and each name once.
type Vars struct {
	names  []string
	values map[string]string
}

// Lookup is for Expand.
func (v *Vars) Lookup(name string) (string, bool) {
	value, ok := v.values[name]
	return value, ok
}

// Pairs returns the variables as the CRI takes them.
func (v *Vars) Pairs() []*runtimev1.KeyValue {
	pairs := make([]*runtimev1.KeyValue, 0, len(v.names))
	for _, name := range v.names {
		pairs = append(pairs, &runtimev1.KeyValue{Key: name, Value: []byte(v.values[name])})
	}
	return pairs
}

func (v *Vars) set(name, value string) {
	if _, ok := v.values[name]; !ok {
		v.names = append(v.names, name)
	}
	v.values[name] = value
}

type builder struct {
	Input
	src        Source
	vars       *Vars
	configMaps map[string]*corev1.ConfigMap
	secrets    map[string]*corev1.Secret
}

// Build makes the environment of in.Container.
func Build(ctx context.Context, src Source, in Input) (*Vars, error) {
	b := &builder{Input: in, src: src, vars: &Vars{values: map[string]string{}}, configMaps: map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{}}
	for _, name := range slices.Sorted(maps.Keys(in.Extra)) {
		b.vars.set(name, in.Extra[name])
	}
	for _, from := range in.Container.EnvFrom {
		if err := b.from(ctx, from); err != nil {
			return nil, err
		}
	}
	for _, variable := range in.Container.Env {
		value, ok, err := b.value(ctx, variable)
		if err != nil {
			return nil, err
		}
		if ok {
			b.vars.set(variable.Name, value)
		}
	}
	return b.vars, nil
}

func (b *builder) from(ctx context.Context, from corev1.EnvFromSource) error {
	data := map[string]string{}
	switch {
	case from.ConfigMapRef != nil:
		object, err := b.configMap(ctx, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		if err != nil || object == nil {
			return err
		}
		data = object.Data
	case from.SecretRef != nil:
		object, err := b.secret(ctx, from.SecretRef.Name, from.SecretRef.Optional)
		if err != nil || object == nil {
			return err
		}
		for k, v := range object.Data {
			data[k] = string(v)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		b.vars.set(from.Prefix+k, data[k])
	}
	return nil
}

// value resolves one variable; ok is false when an optional reference leads nowhere.
func (b *builder) value(ctx context.Context, v corev1.EnvVar) (value string, ok bool, err error) {
	switch from := v.ValueFrom; {
	case from == nil:
		return Expand(v.Value, b.vars.Lookup), true, nil
	case from.FieldRef != nil:
		value, err = Field(b.Pod, b.Addresses, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = Resource(b.Pod, b.Container.Name, from.ResourceFieldRef, b.Allocatable)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		return b.configMapKey(ctx, from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return b.secretKey(ctx, from.SecretKeyRef)
	case from.FileKeyRef != nil:
		return b.fileKey(from.FileKeyRef)
	}
	return "", false, fmt.Errorf("environment variable %s has a valueFrom that this node does not support", v.Name)
}

func (b *builder) configMapKey(ctx context.Context, ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	object, err := b.configMap(ctx, ref.Name, ref.Optional)
	if err != nil || object == nil {
		return "", false, err
	}
	value, ok := object.Data[ref.Key]
	if !ok && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, b.Pod.Namespace, ref.Name)
	}
	return value, ok, nil
}

func (b *builder) secretKey(ctx context.Context, ref *corev1.SecretKeySelector) (string, bool, error) {
	object, err := b.secret(ctx, ref.Name, ref.Optional)
	if err != nil || object == nil {
		return "", false, err
	}
	value, ok := object.Data[ref.Key]
	if !ok && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, b.Pod.Namespace, ref.Name)
	}
	return string(value), ok, nil
}

func (b *builder) fileKey(ref *corev1.FileKeySelector) (string, bool, error) {
	text, err := b.src.VolumeFile(b.Pod, ref.VolumeName, ref.Path)
	if err != nil {
		if isTrue(ref.Optional) {
			return "", false, nil
		}
		return "", false, fmt.Errorf("read environment file %s of volume %s: %w", ref.Path, ref.VolumeName, err)
	}
	vars, err := ParseFile(string(text))
	if err != nil {
		return "", false, fmt.Errorf("parse environment file %s of volume %s: %w", ref.Path, ref.VolumeName, err)
	}
	value, ok := vars[ref.Key]
	if !ok && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("environment variable key %q not found in file %q", ref.Key, ref.Path)
	}
	return value, ok, nil
}

// configMap answers nil without an error for an optional one that is missing. Each is asked for once.
func (b *builder) configMap(ctx context.Context, name string, optional *bool) (*corev1.ConfigMap, error) {
	if object, ok := b.configMaps[name]; ok {
		return object, nil
	}
	object, err := b.src.ConfigMap(ctx, b.Pod.Namespace, name)
	if apierrors.IsNotFound(err) && isTrue(optional) {
		object, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.configMaps[name] = object
	return object, nil
}

func (b *builder) secret(ctx context.Context, name string, optional *bool) (*corev1.Secret, error) {
	if object, ok := b.secrets[name]; ok {
		return object, nil
	}
	object, err := b.src.Secret(ctx, b.Pod.Namespace, name)
	if apierrors.IsNotFound(err) && isTrue(optional) {
		object, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.secrets[name] = object
	return object, nil
}

func isTrue(b *bool) bool { return b != nil && *b }

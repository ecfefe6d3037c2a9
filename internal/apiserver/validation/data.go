package validation

import (
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	immutableData = "field is immutable when `immutable` is set"
	redacted      = "<secret contents redacted>"
)

// ConfigMapCreate judges a new ConfigMap.
func ConfigMapCreate(c *corev1.ConfigMap) field.ErrorList {
	errs := created(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	size := 0
	for key, value := range c.Data {
		at := field.NewPath("data").Key(key)
		errs = append(errs, invalid(at, key, validation.IsConfigMapKey(key))...)
		if _, ok := c.BinaryData[key]; ok {
			errs = append(errs, field.Invalid(at, key, "duplicate of key present in binaryData"))
		}
		size += len(value)
	}
	for key, value := range c.BinaryData {
		errs = append(errs, invalid(field.NewPath("binaryData").Key(key), key, validation.IsConfigMapKey(key))...)
		size += len(value)
	}
	return append(errs, dataSize(field.NewPath(""), size)...)
}

// ConfigMapUpdate judges an update of a ConfigMap.
func ConfigMapUpdate(c, old *corev1.ConfigMap) field.ErrorList {
	errs := updated(&c.ObjectMeta, &old.ObjectMeta)
	if isTrue(old.Immutable) {
		errs = append(errs, staysImmutable(c.Immutable)...)
		if !maps.Equal(c.Data, old.Data) {
			errs = append(errs, field.Forbidden(field.NewPath("data"), immutableData))
		}
		if !equality.Semantic.DeepEqual(c.BinaryData, old.BinaryData) {
			errs = append(errs, field.Forbidden(field.NewPath("binaryData"), immutableData))
		}
	}
	return append(errs, ConfigMapCreate(c)...)
}

func staysImmutable(now *bool) field.ErrorList {
	if isTrue(now) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("immutable"), immutableData)}
}

func dataSize(p *field.Path, size int) field.ErrorList {
	if size > corev1.MaxSecretSize {
		return field.ErrorList{field.TooLong(p, "", corev1.MaxSecretSize)}
	}
	return nil
}

// SecretCreate judges a new secret: what its type promises must be in it.
func SecretCreate(s *corev1.Secret) field.ErrorList {
	errs := created(&s.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	p := field.NewPath("data")
	size := 0
	for key, value := range s.Data {
		errs = append(errs, invalid(p.Key(key), key, validation.IsConfigMapKey(key))...)
		size += len(value)
	}
	errs = append(errs, dataSize(p, size)...)
	return append(errs, secretType(p, s)...)
}

func secretType(p *field.Path, s *corev1.Secret) field.ErrorList {
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			return field.ErrorList{field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), "")}
		}
	case corev1.SecretTypeDockercfg:
		return dockerConfig(p, s, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		return dockerConfig(p, s, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		_, password := s.Data[corev1.BasicAuthPasswordKey]
		if !user && !password {
			return field.ErrorList{field.Required(p.Key(corev1.BasicAuthUsernameKey), ""), field.Required(p.Key(corev1.BasicAuthPasswordKey), "")}
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			return field.ErrorList{field.Required(p.Key(corev1.SSHAuthPrivateKey), "")}
		}
	case corev1.SecretTypeTLS:
		var errs field.ErrorList
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if _, ok := s.Data[key]; !ok {
				errs = append(errs, field.Required(p.Key(key), ""))
			}
		}
		return errs
	}
	return nil
}

func dockerConfig(p *field.Path, s *corev1.Secret, key string) field.ErrorList {
	body, ok := s.Data[key]
	if !ok {
		return field.ErrorList{field.Required(p.Key(key), "")}
	}
	if err := json.Unmarshal(body, &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(p.Key(key), redacted, err.Error())}
	}
	return nil
}

// SecretUpdate judges an update of a secret.
func SecretUpdate(s, old *corev1.Secret) field.ErrorList {
	errs := updated(&s.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, apivalidation.ValidateImmutableField(s.Type, old.Type, field.NewPath("type"))...)
	if isTrue(old.Immutable) {
		errs = append(errs, staysImmutable(s.Immutable)...)
		if !equality.Semantic.DeepEqual(s.Data, old.Data) {
			errs = append(errs, field.Forbidden(field.NewPath("data"), immutableData))
		}
	}
	return append(errs, SecretCreate(s)...)
}

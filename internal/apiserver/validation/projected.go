package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	minTokenSeconds       = 10 * 60
	maxTokenSeconds       = 1 << 32
	minCertificateSeconds = 60 * 60
	maxCertificateSeconds = 91 * 24 * 60 * 60
	// maxKubernetesCertificateSeconds is for signers of Kubernetes' own domain.
	maxKubernetesCertificateSeconds = 24 * 60 * 60
	conflictingPaths                = "conflicting duplicate paths"
	moreThanOneSource               = "may not specify more than 1 volume type per source"
)

// projection judges the sources of one projected volume and remembers the files that they make.
type projection struct {
	root  *field.Path
	files names
}

func projected(p *field.Path, v *corev1.ProjectedVolumeSource) field.ErrorList {
	errs := fileMode(p.Child("defaultMode"), v.DefaultMode)
	pr := projection{root: p, files: names{}}
	for i := range v.Sources {
		errs = append(errs, pr.source(p.Child("sources").Index(i), &v.Sources[i])...)
	}
	return errs
}

func (pr *projection) source(p *field.Path, s *corev1.VolumeProjection) field.ErrorList {
	var errs field.ErrorList
	kinds := 0
	for _, rule := range []sourceRule{
		{"secret", s.Secret != nil, func(p *field.Path) field.ErrorList {
			return pr.keyed(p, s.Secret.Name, s.Secret.Items)
		}},
		{"configMap", s.ConfigMap != nil, func(p *field.Path) field.ErrorList {
			return pr.keyed(p, s.ConfigMap.Name, s.ConfigMap.Items)
		}},
		{"downwardAPI", s.DownwardAPI != nil, func(p *field.Path) field.ErrorList {
			return pr.downward(p, s.DownwardAPI.Items)
		}},
		{"serviceAccountToken", s.ServiceAccountToken != nil, func(p *field.Path) field.ErrorList {
			return pr.token(p, s.ServiceAccountToken)
		}},
		{"clusterTrustBundle", s.ClusterTrustBundle != nil, func(p *field.Path) field.ErrorList {
			return pr.trustBundle(p, s.ClusterTrustBundle)
		}},
		{"podCertificate", s.PodCertificate != nil, func(p *field.Path) field.ErrorList {
			return pr.certificate(p, s.PodCertificate)
		}},
	} {
		if !rule.set {
			continue
		}
		kinds++
		errs = append(errs, rule.check(p.Child(rule.name))...)
	}
	if kinds > 1 {
		errs = append(errs, field.Forbidden(p, moreThanOneSource))
	}
	return errs
}

// file refuses a path that another source makes already.
func (pr *projection) file(name string, value any) field.ErrorList {
	if name == "" || !pr.files.take(name) {
		return nil
	}
	return field.ErrorList{field.Invalid(pr.root, value, conflictingPaths)}
}

func (pr *projection) keyed(p *field.Path, name string, items []corev1.KeyToPath) field.ErrorList {
	errs := required(p.Child("name"), name)
	for i := range items {
		errs = append(errs, keyedFile(p.Child("items").Index(i), &items[i])...)
		errs = append(errs, pr.file(items[i].Path, name)...)
	}
	return errs
}

func (pr *projection) downward(p *field.Path, items []corev1.DownwardAPIVolumeFile) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		errs = append(errs, downwardItem(p, &items[i])...)
		errs = append(errs, pr.file(items[i].Path, items[i].Path)...)
	}
	return errs
}

func (pr *projection) token(p *field.Path, t *corev1.ServiceAccountTokenProjection) field.ErrorList {
	var errs field.ErrorList
	at := p.Child("expirationSeconds")
	switch {
	case t.ExpirationSeconds == nil:
	case *t.ExpirationSeconds < minTokenSeconds:
		errs = append(errs, field.Invalid(at, *t.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
	case *t.ExpirationSeconds > maxTokenSeconds:
		errs = append(errs, field.Invalid(at, *t.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
	}
	// Upstream reports these two at the volume and lets other sources make the same file.
	if t.Path == "" {
		return append(errs, field.Required(pr.root.Child("path"), ""))
	}
	return append(errs, unreservedPath(pr.root.Child("path"), t.Path)...)
}

func (pr *projection) certificate(p *field.Path, c *corev1.PodCertificateProjection) field.ErrorList {
	errs := signerName(p.Child("signerName"), c.SignerName)
	for key := range c.UserAnnotations {
		errs = append(errs, validation.IsDomainPrefixedKey(p.Child("userAnnotations"), strings.ToLower(key))...)
	}
	errs = append(errs, oneOf(p.Child("keyType"), c.KeyType, "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")...)
	if s := c.MaxExpirationSeconds; s != nil {
		at, longest := p.Child("maxExpirationSeconds"), int32(maxCertificateSeconds)
		if isKubernetesSigner(c.SignerName) {
			longest = maxKubernetesCertificateSeconds
		}
		switch {
		case *s < minCertificateSeconds:
			errs = append(errs, field.Invalid(at, *s, fmt.Sprintf("if provided, maxExpirationSeconds must be >= %d", minCertificateSeconds)))
		case *s > longest:
			errs = append(errs, field.Invalid(at, *s, fmt.Sprintf("if provided, maxExpirationSeconds must be <= %d", longest)))
		}
	}
	files := 0
	for _, f := range []struct{ name, path string }{
		{"credentialBundlePath", c.CredentialBundlePath}, {"keyPath", c.KeyPath}, {"certificateChainPath", c.CertificateChainPath},
	} {
		if f.path == "" {
			continue
		}
		files++
		errs = append(errs, unreservedPath(p.Child(f.name), f.path)...)
		errs = append(errs, pr.file(f.path, f.path)...)
	}
	if files == 0 {
		errs = append(errs, field.Required(p, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))
	}
	return errs
}

func isKubernetesSigner(name string) bool {
	domain, _, _ := strings.Cut(name, "/")
	return domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io")
}

// signerName wants a signer's name: a domain of two labels or more, a slash, a path of one or more dotted labels.
func signerName(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	domain, rest, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(rest, "/") {
		return field.ErrorList{field.Invalid(p, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	errs := dnsSubdomain(p, domain)
	if !strings.Contains(domain, ".") {
		errs = append(errs, field.Invalid(p, domain, "should be a domain with at least two segments separated by dots"))
	}
	if rest == "" {
		return append(errs, field.Invalid(p, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"))
	}
	for _, label := range strings.Split(rest, ".") {
		errs = append(errs, invalid(p, name, validation.IsDNS1123Subdomain(label))...)
	}
	return errs
}

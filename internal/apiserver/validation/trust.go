package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// trustBundle holds the rules of a projected trust bundle: chosen by its name, or by signer and labels.
func (pr *projection) trustBundle(p *field.Path, b *corev1.ClusterTrustBundleProjection) field.ErrorList {
	var errs field.ErrorList
	switch {
	case b.Name != nil && b.SignerName != nil:
		errs = append(errs, field.Invalid(p, goNames(b), "only one of name and signerName may be used"))
	case b.Name != nil:
		errs = append(errs, trustBundleName(p.Child("name"), *b.Name)...)
		if b.LabelSelector != nil {
			errs = append(errs, field.Invalid(p.Child("labelSelector"), b.LabelSelector, "labelSelector must be unset if name is specified"))
		}
	case b.SignerName != nil:
		if *b.SignerName == "" {
			errs = append(errs, field.Required(p.Child("signerName"), "must be a valid signer name"))
		}
		errs = append(errs, signerName(p.Child("signerName"), *b.SignerName)...)
		errs = append(errs, metavalidation.ValidateLabelSelector(b.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, p.Child("labelSelector"))...)
	default:
		errs = append(errs, field.Required(p, "either name or signerName must be specified"))
	}
	errs = append(errs, required(p.Child("path"), b.Path)...)
	errs = append(errs, unreservedPath(p.Child("path"), b.Path)...)
	if pr.files.take(b.Path) { // the empty one, too
		errs = append(errs, field.Invalid(pr.root, b.Path, conflictingPaths))
	}
	return errs
}

// trustBundleName wants a DNS subdomain, behind the signer's name with colons for slashes if the bundle has a signer.
func trustBundleName(p *field.Path, name string) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(p, "must be a valid object name"))
	}
	own := name
	if i := strings.LastIndex(name, ":"); i >= 0 {
		own = name[i+1:]
	}
	for _, m := range validation.IsDNS1123Subdomain(own) {
		errs = append(errs, field.Invalid(p, name, fmt.Sprintf("not a valid clustertrustbundlename: %v", m)))
	}
	return errs
}

package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxNameservers    = 3
	maxSearches       = 32
	maxSearchLength   = 2048
	maxHostnameLength = 64
)

func dns(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	errs := requiredOneOf(p.Child("dnsPolicy"), spec.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst,
		corev1.DNSDefault, corev1.DNSNone)
	at, c := p.Child("dnsConfig"), spec.DNSConfig
	if spec.DNSPolicy == corev1.DNSNone {
		if c == nil {
			return append(errs, field.Required(at, fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone)))
		}
		if len(c.Nameservers) == 0 {
			return append(errs, field.Required(at.Child("nameservers"),
				fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone)))
		}
	}
	if c == nil {
		return errs
	}
	errs = append(errs, nameservers(at.Child("nameservers"), c.Nameservers)...)
	errs = append(errs, searches(at.Child("searches"), c.Searches)...)
	for i, option := range c.Options {
		if option.Name == "" {
			errs = append(errs, field.Required(at.Child("options").Index(i), "must not be empty"))
		}
	}
	return errs
}

func nameservers(p *field.Path, list []string) field.ErrorList {
	var errs field.ErrorList
	if len(list) > maxNameservers {
		errs = append(errs, field.Invalid(p, list, fmt.Sprintf("must not have more than %v nameservers", maxNameservers)))
	}
	for i, ns := range list {
		errs = append(errs, address(p.Index(i), ns)...)
	}
	return errs
}

func searches(p *field.Path, list []string) field.ErrorList {
	var errs field.ErrorList
	if len(list) > maxSearches {
		errs = append(errs, field.Invalid(p, list, fmt.Sprintf("must not have more than %v search paths", maxSearches)))
	}
	if len(strings.Join(list, " ")) > maxSearchLength {
		errs = append(errs, field.Invalid(p, list,
			fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchLength)))
	}
	for i, search := range list {
		if search == "." {
			continue
		}
		search = strings.TrimSuffix(search, ".")
		errs = append(errs, invalid(p.Index(i), search, validation.IsDNS1123SubdomainWithUnderscore(search))...)
	}
	return errs
}

// hostnames holds the rules of everything that names the Pod's host.
func hostnames(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.Hostname != "" {
		errs = append(errs, dnsLabel(p.Child("hostname"), spec.Hostname)...)
	}
	if spec.Subdomain != "" {
		errs = append(errs, dnsLabel(p.Child("subdomain"), spec.Subdomain)...)
	}
	for i, alias := range spec.HostAliases {
		at := p.Child("hostAliases").Index(i)
		errs = append(errs, address(at.Child("ip"), alias.IP)...)
		for j, name := range alias.Hostnames {
			errs = append(errs, dnsSubdomain(at.Child("hostnames").Index(j), name)...)
		}
	}
	return append(errs, hostnameOverride(p, spec)...)
}

func hostnameOverride(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	name := spec.HostnameOverride
	if name == nil {
		return nil
	}
	at := p.Child("hostnameOverride")
	errs := dnsSubdomain(at, *name)
	if len(*name) > maxHostnameLength {
		errs = append(errs, field.TooLong(at, *name, maxHostnameLength))
	}
	if isTrue(spec.SetHostnameAsFQDN) {
		errs = append(errs, field.Forbidden(at, "may not be specified when setHostnameAsFQDN is true"))
	}
	if spec.HostNetwork {
		errs = append(errs, field.Forbidden(at, "may not be specified when hostNetwork is true"))
	}
	return errs
}

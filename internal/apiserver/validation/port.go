package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func ports(p *field.Path, list []corev1.ContainerPort) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, port := range list {
		at := p.Index(i)
		if port.Name != "" {
			if msgs := validation.IsValidPortName(port.Name); len(msgs) > 0 {
				errs = append(errs, invalid(at.Child("name"), port.Name, msgs)...)
			} else if taken.take(port.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
			}
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, portNumber(at.Child("containerPort"), port.ContainerPort)...)
		}
		if port.HostPort != 0 {
			errs = append(errs, portNumber(at.Child("hostPort"), port.HostPort)...)
		}
		errs = append(errs, requiredOneOf(at.Child("protocol"), port.Protocol,
			corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

func portNumber(p *field.Path, port int32) field.ErrorList {
	return invalid(p, port, validation.IsValidPortNum(int(port)))
}

// portReference wants the number of a port or what could be the name of one.
func portReference(p *field.Path, port intstr.IntOrString) field.ErrorList {
	if port.Type == intstr.Int {
		return invalid(p, port.IntValue(), validation.IsValidPortNum(port.IntValue()))
	}
	return invalid(p, port.StrVal, validation.IsValidPortName(port.StrVal))
}

// hostPortConflicts refuses a port of the host that two containers of the list want.
func hostPortConflicts(p *field.Path, containers []corev1.Container) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i := range containers {
		for j, port := range containers[i].Ports {
			if port.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if taken.take(key) {
				errs = append(errs, field.Duplicate(p.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
		}
	}
	return errs
}

// hostNetworkPorts refuses, on the host's network, a host port of a regular container that differs from the
// container's own. A template may still leave it out.
func hostNetworkPorts(p *field.Path, spec *corev1.PodSpec, template bool) field.ErrorList {
	if !spec.HostNetwork {
		return nil
	}
	var errs field.ErrorList
	p = p.Child("containers")
	for i := range spec.Containers {
		for j, port := range spec.Containers[i].Ports {
			if (port.HostPort != 0 || !template) && port.HostPort != port.ContainerPort {
				errs = append(errs, field.Invalid(p.Index(i).Child("ports").Index(j).Child("hostPort"), port.HostPort,
					"must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return errs
}

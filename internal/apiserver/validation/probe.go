package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// probes holds the rules of a container's three probes. The rules for readiness are the odd ones: it may need several
// successes, and never kills, so it has no grace period.
func probes(p *field.Path, ctr *corev1.Container, grace *int64) field.ErrorList {
	liveness := p.Child("livenessProbe")
	errs := probe(liveness, ctr.LivenessProbe, grace)
	errs = append(errs, oneSuccess(liveness, ctr.LivenessProbe)...)
	readiness := p.Child("readinessProbe")
	errs = append(errs, probe(readiness, ctr.ReadinessProbe, grace)...)
	if r := ctr.ReadinessProbe; r != nil && r.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(readiness.Child("terminationGracePeriodSeconds"),
			r.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
	}
	startup := p.Child("startupProbe")
	errs = append(errs, probe(startup, ctr.StartupProbe, grace)...)
	return append(errs, oneSuccess(startup, ctr.StartupProbe)...)
}

func oneSuccess(p *field.Path, probe *corev1.Probe) field.ErrorList {
	if probe != nil && probe.SuccessThreshold != 1 {
		return field.ErrorList{field.Invalid(p.Child("successThreshold"), probe.SuccessThreshold, "must be 1")}
	}
	return nil
}

func probe(p *field.Path, probe *corev1.Probe, grace *int64) field.ErrorList {
	if probe == nil {
		return nil
	}
	errs := handler(p, handlerOf(&probe.ProbeHandler), grace)
	for _, f := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", probe.InitialDelaySeconds},
		{"timeoutSeconds", probe.TimeoutSeconds},
		{"periodSeconds", probe.PeriodSeconds},
		{"successThreshold", probe.SuccessThreshold},
		{"failureThreshold", probe.FailureThreshold},
	} {
		errs = append(errs, nonNegative(p.Child(f.name), int64(f.value))...)
	}
	if g := probe.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		errs = append(errs, field.Invalid(p.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0"))
	}
	return errs
}

// lifecycle holds the rules of a container's hooks.
func lifecycle(p *field.Path, l *corev1.Lifecycle, grace *int64) field.ErrorList {
	if l == nil {
		return nil
	}
	var errs field.ErrorList
	if l.PostStart != nil {
		errs = append(errs, handler(p.Child("postStart"), hookOf(l.PostStart), grace)...)
	}
	if l.PreStop != nil {
		errs = append(errs, handler(p.Child("preStop"), hookOf(l.PreStop), grace)...)
	}
	return errs
}

// action is what a probe or a hook does; exactly one part is set.
type action struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func handlerOf(h *corev1.ProbeHandler) action {
	return action{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, grpc: h.GRPC}
}

func hookOf(h *corev1.LifecycleHandler) action {
	return action{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}
}

func handler(p *field.Path, a action, grace *int64) field.ErrorList {
	var errs field.ErrorList
	kinds := 0
	for _, kind := range []struct {
		name  string
		set   bool
		check func(*field.Path) field.ErrorList
	}{
		{"exec", a.exec != nil, func(p *field.Path) field.ErrorList { return execAction(p, a.exec) }},
		{"httpGet", a.http != nil, func(p *field.Path) field.ErrorList { return httpAction(p, a.http) }},
		{"tcpSocket", a.tcp != nil, func(p *field.Path) field.ErrorList { return portReference(p.Child("port"), a.tcp.Port) }},
		{"grpc", a.grpc != nil, func(p *field.Path) field.ErrorList { return portNumber(p.Child("port"), a.grpc.Port) }},
		{"sleep", a.sleep != nil, func(p *field.Path) field.ErrorList { return sleepAction(p, a.sleep, grace) }},
	} {
		if !kind.set {
			continue
		}
		if kinds++; kinds > 1 {
			errs = append(errs, field.Forbidden(p.Child(kind.name), moreThanOneHandlerType))
			continue
		}
		errs = append(errs, kind.check(p.Child(kind.name))...)
	}
	if kinds == 0 {
		errs = append(errs, field.Required(p, "must specify a handler type"))
	}
	return errs
}

func execAction(p *field.Path, exec *corev1.ExecAction) field.ErrorList {
	if len(exec.Command) == 0 {
		return field.ErrorList{field.Required(p.Child("command"), "")}
	}
	return nil
}

func httpAction(p *field.Path, get *corev1.HTTPGetAction) field.ErrorList {
	errs := required(p.Child("path"), get.Path)
	errs = append(errs, portReference(p.Child("port"), get.Port)...)
	errs = append(errs, oneOf(p.Child("scheme"), get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range get.HTTPHeaders {
		errs = append(errs, invalid(p.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}

// sleepAction wants a sleep no longer than the grace period. An absent grace period is somebody else's error.
func sleepAction(p *field.Path, sleep *corev1.SleepAction, grace *int64) field.ErrorList {
	if grace == nil || sleep.Seconds >= 0 && sleep.Seconds <= *grace {
		return nil
	}
	return field.ErrorList{field.Invalid(p, sleep.Seconds,
		fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace))}
}

package scheme

import (
	"fmt"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// addOptions lets query parameters decode into the options of the connecting subresources.
func addOptions(s *runtime.Scheme) error {
	adds := []func(*runtime.Scheme) error{
		option(podLogOptions), option(podExecOptions), option(podAttachOptions), option(podPortForwardOptions),
		option(func(q query, out *corev1.PodProxyOptions) error { return q.text("path", &out.Path) }),
		option(func(q query, out *corev1.NodeProxyOptions) error { return q.text("path", &out.Path) }),
	}
	for _, add := range adds {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

func option[T any](read func(query, *T) error) func(*runtime.Scheme) error {
	return func(s *runtime.Scheme) error {
		return s.AddConversionFunc((*url.Values)(nil), (*T)(nil), func(a, b any, _ conversion.Scope) error {
			return read(query(*a.(*url.Values)), b.(*T))
		})
	}
}

// query reads one kind of value per method; a parameter that is absent leaves what it would set alone.
type query url.Values

func (q query) text(name string, to *string) error {
	if v, ok := q[name]; ok && len(v) > 0 {
		*to = v[0]
	}
	return nil
}

func (q query) flag(name string, to *bool) error {
	v, ok := q[name]
	if !ok {
		return nil
	}
	return runtime.Convert_Slice_string_To_bool(&v, to, nil)
}

func (q query) number(name string, to **int64) error {
	v, ok := q[name]
	if !ok || len(v) == 0 {
		return nil
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil {
		return fmt.Errorf("parameter %s: %w", name, err)
	}
	*to = &n
	return nil
}

func (q query) time(name string, to **metav1.Time) error {
	v, ok := q[name]
	if !ok || len(v) == 0 || v[0] == "" {
		return nil
	}
	t := &metav1.Time{}
	if err := t.UnmarshalQueryParameter(v[0]); err != nil {
		return fmt.Errorf("parameter %s: %w", name, err)
	}
	*to = t
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func podLogOptions(q query, out *corev1.PodLogOptions) error {
	if v, ok := q["stream"]; ok && len(v) > 0 {
		out.Stream = &v[0]
	}
	return first(
		q.text("container", &out.Container),
		q.flag("follow", &out.Follow),
		q.flag("previous", &out.Previous),
		q.number("sinceSeconds", &out.SinceSeconds),
		q.time("sinceTime", &out.SinceTime),
		q.flag("timestamps", &out.Timestamps),
		q.number("tailLines", &out.TailLines),
		q.number("limitBytes", &out.LimitBytes),
		q.flag("insecureSkipTLSVerifyBackend", &out.InsecureSkipTLSVerifyBackend),
	)
}

func podExecOptions(q query, out *corev1.PodExecOptions) error {
	out.Command = q["command"]
	return first(
		q.flag("stdin", &out.Stdin), q.flag("stdout", &out.Stdout), q.flag("stderr", &out.Stderr),
		q.flag("tty", &out.TTY), q.text("container", &out.Container),
	)
}

func podAttachOptions(q query, out *corev1.PodAttachOptions) error {
	return first(
		q.flag("stdin", &out.Stdin), q.flag("stdout", &out.Stdout), q.flag("stderr", &out.Stderr),
		q.flag("tty", &out.TTY), q.text("container", &out.Container),
	)
}

func podPortForwardOptions(q query, out *corev1.PodPortForwardOptions) error {
	for _, v := range q["ports"] {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return fmt.Errorf("parameter ports: %w", err)
		}
		out.Ports = append(out.Ports, int32(n))
	}
	return nil
}

package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrest "k8s.io/apiserver/pkg/registry/generic/rest"
)

// Log is the subresource that reads a container's output.
type Log struct{ streams }

// New implements rest.Storage.
func (*Log) New() runtime.Object { return &corev1.Pod{} }

// Destroy implements rest.Storage.
func (*Log) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (*Log) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata.
func (*Log) ProducesObject(string) any { return "" }

// NewGetOptions implements rest.GetterWithOptions.
func (*Log) NewGetOptions() (runtime.Object, bool, string) { return &corev1.PodLogOptions{}, false, "" }

// OverrideMetricsVerb counts followed logs apart.
func (*Log) OverrideMetricsVerb(verb string) string {
	if verb == "GET" {
		return "CONNECT"
	}
	return verb
}

// Get implements rest.GetterWithOptions.
func (l *Log) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	o, ok := options.(*corev1.PodLogOptions)
	if !ok {
		return nil, fmt.Errorf("invalid options object: %T", options)
	}
	if errs := validateLogOptions(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), name, errs)
	}
	pod, err := get(ctx, l.pods, name)
	if err != nil {
		return nil, err
	}
	container, err := container(pod, o.Container)
	if err != nil {
		return nil, err
	}
	if pod.Spec.NodeName == "" {
		// Nothing ran yet, so there is nothing to read.
		return &genericrest.LocationStreamer{}, nil
	}
	location, endpoint, err := l.location(ctx, pod, []string{"containerLogs", pod.Namespace, pod.Name, container}, logQuery(o))
	if err != nil {
		return nil, err
	}
	return logStream{&genericrest.LocationStreamer{
		Location:        location,
		Transport:       endpoint.Transport,
		ContentType:     "text/plain",
		Flush:           o.Follow,
		ResponseChecker: genericrest.NewGenericHttpResponseChecker(corev1.Resource("pods/log"), name),
		RedirectChecker: genericrest.PreventRedirects,
	}}, nil
}

// logStream is a log that can be sent over a websocket as well, whose sender drops what comes together with the end.
type logStream struct{ *genericrest.LocationStreamer }

// InputStream implements rest.ResourceStreamer.
func (s logStream) InputStream(ctx context.Context, version, accept string) (stream io.ReadCloser, flush bool, contentType string, err error) {
	stream, flush, contentType, err = s.LocationStreamer.InputStream(ctx, version, accept)
	if stream != nil {
		stream = endApart{stream}
	}
	return stream, flush, contentType, err
}

// endApart tells the end only after all that was read, which a response's body, if it is short, does at once.
type endApart struct{ io.ReadCloser }

func (r endApart) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	flag := func(name string, on bool) {
		if on {
			q.Set(name, "true")
		}
	}
	number := func(name string, n *int64) {
		if n != nil {
			q.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	flag("follow", o.Follow)
	flag("previous", o.Previous)
	flag("timestamps", o.Timestamps)
	number("sinceSeconds", o.SinceSeconds)
	number("tailLines", o.TailLines)
	number("limitBytes", o.LimitBytes)
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	return q
}

// validateLogOptions keeps what k8s.io/api says of each field.
func validateLogOptions(o *corev1.PodLogOptions) field.ErrorList {
	var errs field.ErrorList
	if o.TailLines != nil && *o.TailLines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *o.TailLines, "must be greater than or equal to 0"))
	}
	if o.LimitBytes != nil && *o.LimitBytes < 1 {
		errs = append(errs, field.Invalid(field.NewPath("limitBytes"), *o.LimitBytes, "must be greater than 0"))
	}
	switch {
	case o.SinceSeconds != nil && o.SinceTime != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case o.SinceSeconds != nil && *o.SinceSeconds < 1:
		errs = append(errs, field.Invalid(field.NewPath("sinceSeconds"), *o.SinceSeconds, "must be greater than 0"))
	}
	if o.Stream != nil { // a feature that is off by default
		errs = append(errs, field.Forbidden(field.NewPath("stream"), "may not be specified"))
	}
	return errs
}

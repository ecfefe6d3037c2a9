package printer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	roleLabelPrefix = "node-role.kubernetes.io/"
	roleLabel       = "kubernetes.io/role"
)

// coreSheets are the tables of the core group, Pods apart.
func coreSheets() []sheet {
	return []sheet{
		of[corev1.Namespace, corev1.NamespaceList](func(o *corev1.Namespace, now time.Time) []any {
			return []any{o.Name, string(o.Status.Phase), since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Status", "string", "The status of the namespace"), ageColumn()),
		of[corev1.ConfigMap, corev1.ConfigMapList](func(o *corev1.ConfigMap, now time.Time) []any {
			return []any{o.Name, int64(len(o.Data) + len(o.BinaryData)), since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Data", "string", corev1.ConfigMap{}.SwaggerDoc()["data"]), ageColumn()),
		of[corev1.Secret, corev1.SecretList](func(o *corev1.Secret, now time.Time) []any {
			return []any{o.Name, string(o.Type), int64(len(o.Data)), since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Type", "string", corev1.Secret{}.SwaggerDoc()["type"]), column("Data", "string", corev1.Secret{}.SwaggerDoc()["data"]), ageColumn()),
		of[corev1.ServiceAccount, corev1.ServiceAccountList](func(o *corev1.ServiceAccount, now time.Time) []any {
			return []any{o.Name, since(o.CreationTimestamp, now)}
		}, nameColumn(), ageColumn()),
		of[corev1.LimitRange, corev1.LimitRangeList](func(o *corev1.LimitRange, _ time.Time) []any {
			return []any{o.Name, date(o.CreationTimestamp)}
		}, nameColumn(), createdColumn()),
		of[corev1.ResourceQuota, corev1.ResourceQuotaList](quotaCells, nameColumn(),
			column("Request", "string", "Request represents a minimum amount of cpu/memory that a container may consume."),
			column("Limit", "string", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."), ageColumn()),
		nodeSheet(),
		eventSheet(),
	}
}

func quotaCells(o *corev1.ResourceQuota, now time.Time) []any {
	resources := make([]string, 0, len(o.Status.Hard))
	for n := range o.Status.Hard {
		resources = append(resources, string(n))
	}
	slices.Sort(resources)
	var requests, limits []string
	for _, n := range resources {
		used, hard := o.Status.Used[corev1.ResourceName(n)], o.Status.Hard[corev1.ResourceName(n)]
		text := fmt.Sprintf("%s: %s/%s", n, used.String(), hard.String())
		if strings.HasPrefix(n, "limits.") {
			limits = append(limits, text)
		} else {
			requests = append(requests, text)
		}
	}
	return []any{o.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), since(o.CreationTimestamp, now)}
}

func nodeSheet() sheet {
	info := corev1.NodeSystemInfo{}.SwaggerDoc()
	return of[corev1.Node, corev1.NodeList](nodeCells, nameColumn(),
		column("Status", "string", "The status of the node"),
		column("Roles", "string", "The roles of the node"),
		ageColumn(),
		column("Version", "string", info["kubeletVersion"]),
		wide("Internal-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"]),
		wide("External-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"]),
		wide("OS-Image", info["osImage"]),
		wide("Kernel-Version", info["kernelVersion"]),
		wide("Container-Runtime", info["containerRuntimeVersion"]),
	)
}

func nodeCells(o *corev1.Node, now time.Time) []any {
	status := []string{}
	for _, c := range o.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			status = append(status, string(c.Type))
		} else {
			status = append(status, "Not"+string(c.Type))
		}
	}
	if len(status) == 0 {
		status = append(status, reasonUnknown)
	}
	if o.Spec.Unschedulable {
		status = append(status, "SchedulingDisabled")
	}
	i := o.Status.NodeInfo
	return []any{
		o.Name, strings.Join(status, ","), roles(o), since(o.CreationTimestamp, now), i.KubeletVersion,
		address(o, corev1.NodeInternalIP), address(o, corev1.NodeExternalIP),
		or(i.OSImage, unknown), or(i.KernelVersion, unknown), or(i.ContainerRuntimeVersion, unknown),
	}
}

func roles(o *corev1.Node) string {
	var found []string
	for key, value := range o.Labels {
		if role, ok := strings.CutPrefix(key, roleLabelPrefix); ok && role != "" {
			found = append(found, role)
		} else if key == roleLabel && value != "" {
			found = append(found, value)
		}
	}
	slices.Sort(found)
	return or(strings.Join(slices.Compact(found), ","), none)
}

func address(o *corev1.Node, kind corev1.NodeAddressType) string {
	for _, a := range o.Status.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return none
}

func eventSheet() sheet {
	doc := corev1.Event{}.SwaggerDoc()
	return of[corev1.Event, corev1.EventList](eventCells,
		column("Last Seen", "string", doc["lastTimestamp"]),
		column("Type", "string", doc["type"]),
		column("Reason", "string", doc["reason"]),
		column("Object", "string", doc["involvedObject"]),
		wide("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"]),
		wide("Source", doc["source"]),
		column("Message", "string", doc["message"]),
		wide("First Seen", doc["firstTimestamp"]),
		wide("Count", doc["count"]),
		metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Priority: 1, Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
	)
}

func eventCells(e *corev1.Event, now time.Time) []any {
	first := e.FirstTimestamp
	if first.IsZero() {
		first = metav1.Time{Time: e.EventTime.Time}
	}
	last, count := e.LastTimestamp, e.Count
	if last.IsZero() {
		last = first
	}
	if e.Series != nil {
		last, count = metav1.Time{Time: e.Series.LastObservedTime.Time}, e.Series.Count
	} else if count == 0 {
		count = 1 // an event of the newer API that never recurred
	}
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	return []any{
		since(last, now), e.Type, e.Reason, object, e.InvolvedObject.FieldPath, eventSource(e),
		strings.TrimSpace(e.Message), since(first, now), int64(count), e.Name,
	}
}

func eventSource(e *corev1.Event) string {
	component, host := or(e.Source.Component, e.ReportingController), or(e.Source.Host, e.ReportingInstance)
	if host == "" {
		return component
	}
	return component + ", " + host
}

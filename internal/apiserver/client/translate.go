package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"
)

// maxPatchBytes is what the generic server takes of a body.
const maxPatchBytes = 3 << 20

// Pods reads a Pod as it is stored now.
type Pods interface {
	StoredPod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
}

// Translate turns patches written for the old kind of pods/ephemeralcontainers, whose list stands at the top, into
// patches of a Pod, whose list stands in its spec. Everything else passes as it is: bodies of PUT are converted where
// they are decoded. It needs the request info of the generic server.
func Translate(next http.Handler, pods Pods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := genericapirequest.RequestInfoFrom(r.Context())
		if !ok || r.Method != http.MethodPatch || info.Resource != "pods" || info.Subresource != "ephemeralcontainers" {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxPatchBytes+1))
		if err != nil {
			http.Error(w, "read request body: "+err.Error(), http.StatusBadRequest)
			return
		}
		contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		kind := types.PatchType(strings.TrimSpace(contentType))
		if translated, ok := translate(kind, body); ok {
			MarkEphemeralContainers(r.Context())
			body = translated
			if kind == types.JSONPatchType && !hasList(r.Context(), pods, info) {
				body = withList(body)
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

// hasList tells whether the Pod has ephemeral containers. One that cannot be read is left to the handler to report.
func hasList(ctx context.Context, pods Pods, info *genericapirequest.RequestInfo) bool {
	pod, err := pods.StoredPod(ctx, info.Namespace, info.Name)
	return err != nil || len(pod.Spec.EphemeralContainers) > 0
}

// withList lets a JSON patch of a Pod begin with the empty list that the old kind always has and a Pod omits. It applies
// only while the Pod has none.
func withList(patch []byte) []byte {
	const begin = `[{"op":"test","path":"/spec/ephemeralContainers","value":null},{"op":"add","path":"/spec/ephemeralContainers","value":[]},`
	return append([]byte(begin), bytes.TrimSpace(patch)[1:]...)
}

// translate returns the patch of a Pod, and false when body was one already or cannot be understood here.
func translate(kind types.PatchType, body []byte) ([]byte, bool) {
	switch kind {
	case types.JSONPatchType:
		return translateJSONPatch(body)
	case types.MergePatchType, types.StrategicMergePatchType:
		return translateObject(body)
	case types.ApplyYAMLPatchType:
		converted, err := yaml.YAMLToJSON(body)
		if err != nil {
			return nil, false
		}
		return translateObject(converted)
	}
	return nil, false
}

func translateObject(body []byte) ([]byte, bool) {
	var doc map[string]json.RawMessage
	if json.Unmarshal(body, &doc) != nil {
		return nil, false
	}
	list, listed := doc["ephemeralContainers"]
	if _, isPod := doc["spec"]; !listed || isPod {
		return nil, false
	}
	delete(doc, "ephemeralContainers")
	if kind, ok := doc["kind"]; ok && string(kind) == `"EphemeralContainers"` {
		doc["kind"] = json.RawMessage(`"Pod"`)
	}
	spec := map[string]json.RawMessage{"ephemeralContainers": list}
	// Directives of a strategic merge patch stand beside the list that they order.
	for _, directive := range []string{"$setElementOrder/ephemeralContainers", "$retainKeys"} {
		if v, ok := doc[directive]; ok {
			spec[directive] = v
			delete(doc, directive)
		}
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, false
	}
	doc["spec"] = raw
	out, err := json.Marshal(doc)
	return out, err == nil
}

func translateJSONPatch(body []byte) ([]byte, bool) {
	const list = "/ephemeralContainers"
	var ops []map[string]json.RawMessage
	if json.Unmarshal(body, &ops) != nil {
		return nil, false
	}
	changed := false
	for _, op := range ops {
		for _, field := range []string{"path", "from"} {
			var path string
			if raw, ok := op[field]; !ok || json.Unmarshal(raw, &path) != nil {
				continue
			}
			if path != list && !strings.HasPrefix(path, list+"/") {
				continue
			}
			raw, err := json.Marshal("/spec" + path)
			if err != nil {
				return nil, false
			}
			op[field], changed = raw, true
		}
	}
	if !changed {
		return nil, false
	}
	out, err := json.Marshal(ops)
	return out, err == nil
}

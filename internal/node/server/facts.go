package server

import (
	"encoding/json"
	"log/slog"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pods answers with the Pods of the node, as a v1 PodList.
func (s *server) pods(w http.ResponseWriter, r *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, p := range s.Pods.List() {
		object := *p.Pod()
		object.Status = p.Status()
		list.Items = append(list.Items, object)
	}
	writeJSON(w, r, list)
}

func writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.DebugContext(r.Context(), "answer not sent", "path", r.URL.Path, "err", err)
	}
}

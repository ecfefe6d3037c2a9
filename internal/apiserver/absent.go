package apiserver

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/server/mux"
)

// customResources is where a cluster lists the definitions of custom resources.
const customResources = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// answerAbsent answers the one question about what is not served that clients cannot do without: since 1.27, kubectl asks
// of each kind that it does not know whether a custom resource defines it. Unless it hears of none, it applies nothing of
// the file that names the kind, and does not tell which it was. Discovery is silent about it.
func answerAbsent(m *mux.PathRecorderMux) {
	m.UnlistedHandleFunc(customResources, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Query().Has("watch") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"kind":"CustomResourceDefinitionList","apiVersion":"apiextensions.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}`)
	})
}

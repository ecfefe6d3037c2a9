package apiserver

import (
	"net/http"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"github.com/mayfly-run/mayfly/internal/apiserver/loopback"
)

// How many requests that read, and that write, are served at a time; kube-apiserver's defaults.
const (
	maxReadsInFlight  = 400
	maxWritesInFlight = 200
)

// limitInFlight sends away what goes beyond, but for what lasts, administrators, and the parts of this process: a node
// that could not tell how its Pods are would make the overload worse.
func limitInFlight(next http.Handler, lasts genericapirequest.LongRunningRequestCheck) http.Handler {
	limited := genericfilters.WithMaxInFlightLimit(next, maxReadsInFlight, maxWritesInFlight, lasts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if loopback.Carried(r) {
			next.ServeHTTP(w, r)
			return
		}
		limited.ServeHTTP(w, r)
	})
}

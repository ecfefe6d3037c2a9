// Package openapi describes the API to clients. The schemas are generated from the Go types; documents are built when
// somebody asks for the first time, since building them takes memory that most servers never need.
package openapi

//go:generate go tool openapi-gen --output-dir . --output-pkg github.com/mayfly-run/mayfly/internal/apiserver/openapi --output-file zz_generated.openapi.go --go-header-file header.txt --report-filename /dev/null github.com/mayfly-run/mayfly/internal/api k8s.io/api/core/v1 k8s.io/api/apps/v1 k8s.io/api/autoscaling/v1 k8s.io/api/policy/v1 k8s.io/api/rbac/v1 k8s.io/api/coordination/v1 k8s.io/api/scheduling/v1 k8s.io/api/node/v1 k8s.io/api/events/v1 k8s.io/api/authentication/v1 k8s.io/api/authorization/v1 k8s.io/api/certificates/v1 k8s.io/api/admissionregistration/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version k8s.io/apimachinery/pkg/util/intstr k8s.io/apimachinery/pkg/api/resource

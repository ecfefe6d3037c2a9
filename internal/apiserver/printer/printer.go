package printer

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// New returns the table convertor of a resource's storage. It knows a kind by its Go type, so that one convertor
// serves single objects, lists and watch events alike.
func New(resource schema.GroupResource) rest.TableConvertor {
	return rest.NewDefaultTableConvertor(resource)
}

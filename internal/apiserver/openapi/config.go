package openapi

import (
	"net/http"
	"strings"
	"sync"

	restful "github.com/emicklei/go-restful/v3"
	"k8s.io/apimachinery/pkg/runtime"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/common"
)

const title = "Kubernetes"

// V3 is what server-side apply takes its schemas from, and the v3 documents are built by. external must know no
// internal versions: they would show in the documents.
func V3(external *runtime.Scheme) *common.OpenAPIV3Config {
	c := genericapiserver.DefaultOpenAPIV3Config(GetOpenAPIDefinitions, apiopenapi.NewDefinitionNamer(external))
	c.Info.Title = title
	return c
}

// Documents serves /openapi/v2 and /openapi/v3, which it builds at the first request for either.
type Documents struct {
	external  *runtime.Scheme
	container *restful.Container
	version   string
	v2, v3    func() http.Handler
}

// NewDocuments describes what container serves.
func NewDocuments(external *runtime.Scheme, container *restful.Container, version string) *Documents {
	d := &Documents{external: external, container: container, version: version}
	d.v2, d.v3 = sync.OnceValue(d.buildV2), sync.OnceValue(d.buildV3)
	return d
}

func (d *Documents) buildV2() http.Handler {
	c := genericapiserver.DefaultOpenAPIConfig(GetOpenAPIDefinitions, apiopenapi.NewDefinitionNamer(d.external))
	c.Info.Title, c.Info.Version = title, d.version
	m := mux.NewPathRecorderMux("openapi-v2")
	routes.OpenAPI{Config: c}.InstallV2(d.container, m)
	return m
}

func (d *Documents) buildV3() http.Handler {
	c := V3(d.external)
	c.Info.Version = d.version
	m := mux.NewPathRecorderMux("openapi-v3")
	routes.OpenAPI{V3Config: c}.InstallV3(d.container, m)
	return m
}

// ServeHTTP implements http.Handler.
func (d *Documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/openapi/v3") {
		d.v3().ServeHTTP(w, r)
		return
	}
	d.v2().ServeHTTP(w, r)
}

// Install puts the documents on m.
func (d *Documents) Install(m *mux.PathRecorderMux) {
	m.Handle("/openapi/v2", d)
	m.Handle("/openapi/v3", d)
	m.HandlePrefix("/openapi/v3/", d)
}

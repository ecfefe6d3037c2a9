package apiserver

import (
	kubeadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mayfly-run/mayfly/internal/apiserver/admission"
)

func (s *Server) admission(authorizer.Authorizer) (kubeadmission.Interface, error) {
	return admission.New(admission.Config{Client: s.client, Informers: s.informers, Accounts: s.lookup})
}

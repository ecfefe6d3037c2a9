package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	kubeadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mayfly-run/mayfly/internal/apiserver/admission"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/policy"
)

func (s *Server) admission(auth authorizer.Authorizer) (kubeadmission.Interface, error) {
	chain, dynamic, err := admission.New(admission.Config{
		Client: s.client, Informers: s.informers, Accounts: s.lookup, Limits: s.lookup, Pods: s.lookup, Nodes: s.lookup,
		Loopback: s.loop.Config(user.APIServerUser, user.SystemPrivilegedGroup), Authorizer: auth,
		AlwaysPullImages: s.cfg.AlwaysPullImages, Stop: s.drained,
	})
	s.dynamic = dynamic
	return chain, err
}

// policiesExist tells whether an object could bring a policy or webhook into force. Beside another server on the
// same etcd, which may make one at any time, the answer is always yes; so it is when the storages do not answer.
func (s *Server) policiesExist(ctx context.Context) bool {
	if len(s.cfg.EtcdServers) > 0 {
		return true
	}
	for _, name := range policy.Resources() {
		lister, ok := s.policies[name].(rest.Lister)
		if !ok {
			return true
		}
		list, err := lister.List(ctx, &metainternal.ListOptions{Limit: 1})
		if err != nil || meta.LenList(list) > 0 {
			return true
		}
	}
	return false
}

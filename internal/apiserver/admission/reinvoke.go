package admission

import (
	"context"

	"k8s.io/apiserver/pkg/admission"
)

// chain is all plugins in order. When a policy or webhook asks for it, since a later one changed the object, all are
// called a second time.
type chain struct {
	admission.MutationInterface
	admission.ValidationInterface
}

func newChain(plugins ...admission.Interface) chain {
	all := admission.NewChainHandler(plugins...)
	return chain{all, all}
}

// Handles implements admission.Interface.
func (c chain) Handles(o admission.Operation) bool { return c.MutationInterface.Handles(o) }

// Admit implements admission.MutationInterface.
func (c chain) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if err := c.MutationInterface.Admit(ctx, a, o); err != nil {
		return err
	}
	again := a.GetReinvocationContext()
	if !again.ShouldReinvoke() {
		return nil
	}
	again.SetIsReinvoke()
	return c.MutationInterface.Admit(ctx, a, o)
}

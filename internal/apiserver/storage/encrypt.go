package storage

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// serverID names this server to key services and in metrics.
const serverID = "mayfly"

// encrypt reads how resources are encrypted, and reads it again when the file changes: keys are rotated without a
// restart. A file that is wrong then is logged, and what was read before holds.
func (s *Store) encrypt(ctx context.Context) error {
	if s.cfg.EncryptionFile == "" {
		return nil
	}
	// Connections to key services, and the watch of the file, live as long as the store.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c, err := encryptionconfig.LoadEncryptionConfig(ctx, s.cfg.EncryptionFile, true, serverID)
	if err != nil {
		cancel()
		return fmt.Errorf("encryption configuration %s: %w", s.cfg.EncryptionFile, err)
	}
	transformers := encryptionconfig.NewDynamicTransformers(c.Transformers, c.HealthChecks[0], cancel, c.KMSCloseGracePeriod)
	reload := controller.NewDynamicEncryptionConfiguration("encryption", s.cfg.EncryptionFile, transformers, c.EncryptionFileContentHash, serverID)
	stop := background(reload.Run)
	s.encrypted, s.stop = transformers, func() {
		stop()
		cancel()
	}
	return nil
}

// transformer is how a resource is encrypted; not at all by default, but never taking for plain what is encrypted.
func (s *Store) transformer(resource schema.GroupResource) value.Transformer {
	if s.encrypted == nil {
		return identity.NewEncryptCheckTransformer()
	}
	return s.encrypted.TransformerForResource(resource)
}

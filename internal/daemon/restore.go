package daemon

import (
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/apiserver"
	"github.com/mayfly-run/mayfly/internal/config"
)

// Restore makes the data of the API from a backup, for an instance that is not up and has none.
func Restore(instance config.Instance, file string) error {
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("open backup: %w", err)
	}
	if err := claim(instance.DataDir, "--data-dir", instance.ID()); err != nil {
		return err
	}
	held, err := acquire(instance.DataDir)
	if err != nil {
		return fmt.Errorf("%w; stop it with `mayfly down --data-dir %s` first", err, instance.DataDir)
	}
	defer held.release()
	return apiserver.Restore(file, apiDir(instance))
}

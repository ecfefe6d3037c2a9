package image

import (
	"fmt"
	"os"
	"path/filepath"
)

// discardTornIngests removes downloads that a crash ended before the content store had written all that it tells one
// by (its ref, its times, its data): the store itself passes over them, so nothing else ever would. No download is
// under way yet when the store is opened.
func discardTornIngests(contentDir string) error {
	ingests, err := filepath.Glob(filepath.Join(contentDir, "ingest", "*"))
	if err != nil {
		return fmt.Errorf("list ingests: %w", err)
	}
	for _, dir := range ingests {
		if isWhole(dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove torn ingest: %w", err)
		}
	}
	return nil
}

func isWhole(ingest string) bool {
	if _, err := os.Stat(filepath.Join(ingest, "data")); err != nil {
		return false
	}
	for _, name := range []string{"ref", "startedat", "updatedat"} {
		if info, err := os.Stat(filepath.Join(ingest, name)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

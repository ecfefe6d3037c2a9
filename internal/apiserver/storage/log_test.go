package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestWhatEtcdSaysOfAFirstStartIsNoWarning(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	log := newLogger(newFatal("dir"))
	log.Error("failed to update storage version", zap.Error(errors.New("cannot detect storage schema version: missing term information")))
	if out.Len() > 0 {
		t.Errorf("logged: %s", &out)
	}
	log.Error("failed to update storage version", zap.Error(errors.New("disk is on fire")))
	if !strings.Contains(out.String(), "level=WARN") || !strings.Contains(out.String(), "disk is on fire") {
		t.Errorf("logged: %s", &out)
	}
}

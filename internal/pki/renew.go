package pki

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"time"
)

// renewInterval is how often certificates are looked at.
const renewInterval = 12 * time.Hour

// Renew keeps the certificates that [Ensure] made in dir from expiring, until ctx ends. After the administrator's was
// renewed it calls renewed. What fails is logged, and tried again in time: there is a month for it.
func Renew(ctx context.Context, dir string, hosts []string, renewed func(Files) error) error {
	tick := time.NewTicker(renewInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := renew(dir, hosts, renewed); err != nil {
				slog.Error("renew certificates", "dir", dir, "err", err)
			}
		}
	}
}

func renew(dir string, hosts []string, renewed func(Files) error) error {
	before, err := os.ReadFile(NewFiles(dir).AdminCert)
	if err != nil {
		return err
	}
	f, err := Ensure(dir, hosts)
	if err != nil {
		return err
	}
	after, err := os.ReadFile(f.AdminCert)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	slog.Info("the administrator's certificate was renewed", "file", f.AdminCert)
	return renewed(f)
}

package pki

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCertificatesAreRenewedBeforeTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		files, err := Ensure(dir, []string{"127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		key := snapshot(t, dir)["apiserver.key"]
		first := leaf(t, files.ServingCert).NotAfter
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var told atomic.Int32
		go func() {
			done <- Renew(ctx, dir, []string{"127.0.0.1"}, func(Files) error { told.Add(1); return nil })
		}()
		time.Sleep(leafLifetime - renewBefore - renewInterval)
		synctest.Wait()
		if told.Load() > 0 {
			t.Error("renewed long before it was time")
		}
		time.Sleep(leafLifetime)
		synctest.Wait()
		if again := leaf(t, files.ServingCert).NotAfter; told.Load() != 2 || !again.After(first.Add(leafLifetime/2)) || time.Now().After(again) {
			t.Errorf("good until %s, then %s, now is %s; told %d times", first, again, time.Now(), told.Load())
		}
		if snapshot(t, dir)["apiserver.key"] != key {
			t.Error("the key changed: a server that rereads both may take one of each")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

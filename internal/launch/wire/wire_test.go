package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mayfly-run/mayfly/internal/launch/wire"
)

func TestState(t *testing.T) {
	want := []wire.Status{{ID: "a", Phase: 2, StartedAt: 1, FinishedAt: 2, ExitCode: 137, Signal: 9, OOMKilled: true}, {ID: "b", Phase: 1, PID: 7}}
	got, err := wire.DecodeState(wire.EncodeState(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzDecode feeds every decoder with what nobody would send.
func FuzzDecode(f *testing.F) {
	f.Add(wire.EncodeState([]wire.Status{{ID: "a"}}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = wire.DecodeState(b)
		_ = (&wire.StartBody{}).Decode(wire.NewReader(b))
		_ = (&wire.ExecBody{}).Decode(wire.NewReader(b))
		_ = (&wire.ControlBody{}).Decode(wire.NewReader(b))
		_ = (&wire.ReplyBody{}).Decode(wire.NewReader(b))
	})
}

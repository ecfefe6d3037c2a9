package container

import (
	"testing"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestParseSignal(t *testing.T) {
	cases := map[string]int{
		"SIGTERM": 15, "term": 15, "9": 9, "SIGRTMIN": 34, "SIGRTMIN+3": 37, "RTMAX-2": 62, "SIGCLD": 17, "SIGPOLL": 29,
		"": 0, "0": 0, "65": 0, "SIGNOPE": 0, "SIGRTMIN-1": 0, "SIGRTMIN+99": 0, "SIGRTMAX+1": 0,
	}
	for name, want := range cases {
		got, err := parseSignal(name)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", name, got, err)
		}
	}
}

// TestEverySignal: each of the CRI's names has a number, and the number leads back to a name of the same number.
func TestEverySignal(t *testing.T) {
	for value, name := range runtimev1.Signal_name {
		if value == 0 {
			continue
		}
		number, err := stopSignal(runtimev1.Signal(value), "SIGKILL")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := stopSignal(stopSignalEnum(number), "")
		if err != nil || back != number {
			t.Errorf("%s: %d came back as %d, %v", name, number, back, err)
		}
	}
}

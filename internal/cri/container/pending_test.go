package container

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestDiscarded(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		want   bool
	}{
		"first process without a handler": {"NSpid:\t4242\t1\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000002\n", true},
		"first process with a handler":    {"NSpid:\t4242\t1\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000004002\n", false},
		"blocked for later":               {"NSpid:\t4242\t1\nSigBlk:\t0000000000004000\nSigCgt:\t0000000000000000\n", false},
		"ignored":                         {"NSpid:\t4242\t1\nSigIgn:\t0000000000004000\nSigCgt:\t0000000000000000\n", false},
		"not the first":                   {"NSpid:\t4242\t7\nSigCgt:\t0000000000000000\n", false},
		"on the host":                     {"NSpid:\t1\nSigCgt:\t0000000000000000\n", false},
		"broken":                          {"NSpid:\t4242\t1\nSigCgt:\tx\n", false},
		"nothing":                         {"", false},
	} {
		if got := discarded(test.status, unix.SIGTERM); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

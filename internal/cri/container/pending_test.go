package container

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDiscarded(t *testing.T) {
	status := func(name, numbers string, blocked, ignored, caught uint64) string {
		return fmt.Sprintf("Name:\t%s\nNSpid:\t%s\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n", name, numbers, blocked, ignored, caught)
	}
	const term = 1 << (unix.SIGTERM - 1)
	for name, test := range map[string]struct {
		status string
		want   bool
	}{
		"first process without a handler": {status("sh", "4242\t1", 0, 0, 2), true},
		"first process with a handler":    {status("sh", "4242\t1", 0, 0, term|2), false},
		"blocked for later":               {status("sh", "4242\t1", term, 0, 0), false},
		"ignored":                         {status("sh", "4242\t1", 0, term, 0), false},
		"not the first":                   {status("sh", "4242\t7", 0, 0, 0), false},
		"on the host":                     {status("sh", "1", 0, 0, 0), false},
		"still the runtime's":             {status("runc:[2:INIT]", "4242\t1", 0, 0, term), true},
		"still the runtime's own copy":    {status("runc", "4242\t1", 0, 0, term), true},
		"not the first of the runtime's":  {status("runc:[2:INIT]", "4242\t7", 0, 0, term), false},
		"broken":                          {"Name:\tsh\nNSpid:\t4242\t1\nSigCgt:\tx\n", false},
		"nothing":                         {"", false},
	} {
		if got := discarded(parseStatus(test.status), "runc", unix.SIGTERM); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

package container

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// discards tells whether the kernel throws a signal to a process away: it does so with what the first process of a PID
// namespace has no handler for, see pid_namespaces(7).
func discards(pid int, signal unix.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && discarded(string(status), signal)
}

// discarded reads /proc/<pid>/status, see proc_pid_status(5).
func discarded(status string, signal unix.Signal) bool {
	if signal < 1 || signal > 64 {
		return false
	}
	var handled uint64
	first := false
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "NSpid": // its number in each namespace, the innermost last
			numbers := strings.Fields(value)
			first = len(numbers) > 1 && numbers[len(numbers)-1] == "1"
		case "SigBlk", "SigIgn", "SigCgt": // blocked ones are kept, and ignored ones meant to be
			mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return false
			}
			handled |= mask
		}
	}
	return first && handled&(1<<(signal-1)) == 0
}

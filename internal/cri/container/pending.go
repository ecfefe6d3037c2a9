package container

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// discards tells whether a signal to a container's first process comes to nothing: the kernel throws away what the first
// process of a PID namespace has no handler for, see pid_namespaces(7), and what has not become the container's program yet
// forgets its handlers when it does.
func discards(pid int, signal unix.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	now := parseStatus(string(status))
	parent, err := os.ReadFile("/proc/" + now["PPid"] + "/comm")
	if err != nil {
		parent = nil
	}
	return discarded(now, strings.TrimSpace(string(parent)), signal)
}

// parseStatus reads /proc/<pid>/status, see proc_pid_status(5).
func parseStatus(content string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

// discarded judges a process by its status and the name of its parent.
func discarded(status map[string]string, parent string, signal unix.Signal) bool {
	if signal < 1 || signal > 64 {
		return false
	}
	numbers := strings.Fields(status["NSpid"]) // in each namespace, the innermost last
	if len(numbers) < 2 || numbers[len(numbers)-1] != "1" {
		return false
	}
	if parent != "" && strings.HasPrefix(status["Name"], parent) { // an OCI runtime's own, "runc:[2:INIT]" of "runc"
		return true
	}
	var handled uint64
	for _, key := range []string{"SigBlk", "SigIgn", "SigCgt"} { // blocked ones are kept, and ignored ones meant to be
		mask, err := strconv.ParseUint(status[key], 16, 64)
		if err != nil {
			return false
		}
		handled |= mask
	}
	return handled&(1<<(signal-1)) == 0
}

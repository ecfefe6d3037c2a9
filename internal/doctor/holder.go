package doctor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tcpListen is the state LISTEN in /proc/net/tcp, proc_pid_net(5).
const tcpListen = "0A"

// by words who holds an address, for the end of a sentence.
func by(holder string) string {
	if holder == "" {
		return ""
	}
	return " by " + holder
}

// holder finds the process that listens on the port of address, as "process 123 (name)", or is empty.
func holder(address string) string {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	port, err := net.LookupPort("tcp", text)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		if inode, found := listener(string(data), port); found {
			return process("socket:[" + inode + "]")
		}
	}
	return ""
}

// listener finds the inode of the socket that listens on port in the text of /proc/net/tcp.
func listener(table string, port int) (inode string, found bool) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != tcpListen {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if number, err := strconv.ParseUint(hex, 16, 16); err == nil && int(number) == port {
			return fields[9], true
		}
	}
	return "", false
}

// process finds who has a descriptor whose link reads target.
func process(target string) string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != target {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
	}
	return ""
}

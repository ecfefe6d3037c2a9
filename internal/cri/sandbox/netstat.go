package sandbox

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// NetworkUsage counts what went through the sandbox's interfaces but lo; nil with the host's network.
func (s *Service) NetworkUsage(sandbox *Sandbox) (*runtimev1.NetworkUsage, error) {
	path := s.Namespaces(sandbox).Network
	if path == "" {
		return nil, nil
	}
	var content []byte
	err := thread.Do(func() (err error) {
		if err = join(path, unix.CLONE_NEWNET); err == nil {
			content, err = os.ReadFile("/proc/thread-self/net/dev")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read interfaces of sandbox %s: %w", sandbox.ID, err)
	}
	return parseInterfaces(content), nil
}

func join(path string, kind int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return os.NewSyscallError("setns", unix.Setns(fd, kind))
}

// parseInterfaces reads /proc/net/dev: two lines of heads, then "name: rx… tx…" with eight numbers each.
func parseInterfaces(content []byte) *runtimev1.NetworkUsage {
	usage := &runtimev1.NetworkUsage{Timestamp: time.Now().UnixNano()}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		name = strings.TrimSpace(name)
		if !ok || len(fields) < 16 || name == "lo" {
			continue
		}
		value := func(i int) *runtimev1.UInt64Value {
			v, _ := strconv.ParseUint(fields[i], 10, 64)
			return &runtimev1.UInt64Value{Value: v}
		}
		one := &runtimev1.NetworkInterfaceUsage{Name: name, RxBytes: value(0), RxErrors: value(2), TxBytes: value(8), TxErrors: value(10)}
		if name == "eth0" || usage.DefaultInterface == nil {
			usage.DefaultInterface = one
		}
		usage.Interfaces = append(usage.Interfaces, one)
	}
	return usage
}

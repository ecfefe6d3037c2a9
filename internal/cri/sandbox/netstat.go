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

// Traffic is what /proc/net/dev counts of one interface.
type Traffic struct {
	Interface                               string
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Traffic counts what went through the sandbox's interfaces but lo; nil with the host's network.
func (s *Service) Traffic(sandbox *Sandbox) ([]Traffic, error) {
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

// NetworkUsage is Traffic in the CRI's form; nil with the host's network.
func (s *Service) NetworkUsage(sandbox *Sandbox) (*runtimev1.NetworkUsage, error) {
	list, err := s.Traffic(sandbox)
	if list == nil || err != nil {
		return nil, err
	}
	usage := &runtimev1.NetworkUsage{Timestamp: time.Now().UnixNano()}
	value := func(v uint64) *runtimev1.UInt64Value { return &runtimev1.UInt64Value{Value: v} }
	for _, t := range list {
		one := &runtimev1.NetworkInterfaceUsage{
			Name: t.Interface, RxBytes: value(t.RxBytes), RxErrors: value(t.RxErrors), TxBytes: value(t.TxBytes), TxErrors: value(t.TxErrors),
		}
		if t.Interface == "eth0" || usage.DefaultInterface == nil {
			usage.DefaultInterface = one
		}
		usage.Interfaces = append(usage.Interfaces, one)
	}
	return usage, nil
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
func parseInterfaces(content []byte) []Traffic {
	list := []Traffic{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		name = strings.TrimSpace(name)
		if !ok || len(fields) < 16 || name == "lo" {
			continue
		}
		var n [16]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(fields[i], 10, 64)
		}
		list = append(list, Traffic{
			Interface: name, RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11],
		})
	}
	return list
}

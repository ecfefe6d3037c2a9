package container

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Real-time signals as glibc and every container runtime number them.
const (
	rtmin = 34
	rtmax = 64
)

// stopSignal is the client's, else the image's, else SIGTERM.
func stopSignal(asked runtimev1.Signal, image string) (int, error) {
	if asked != runtimev1.Signal_SIGNAL_RUNTIME_DEFAULT {
		return parseSignal(enumName(asked))
	}
	if image != "" {
		return parseSignal(image)
	}
	return int(unix.SIGTERM), nil
}

// enumName turns SIGNAL_SIGRTMINPLUS1 into SIGRTMIN+1.
func enumName(s runtimev1.Signal) string {
	return strings.NewReplacer("SIGNAL_", "", "PLUS", "+", "MINUS", "-").Replace(s.String())
}

// parseSignal reads a number or a name, with or without SIG.
func parseSignal(name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= rtmax {
		return n, nil
	}
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	switch full {
	case "SIGCLD":
		return int(unix.SIGCHLD), nil
	case "SIGIOT":
		return int(unix.SIGABRT), nil
	case "SIGPOLL":
		return int(unix.SIGIO), nil
	}
	if n := unix.SignalNum(full); n != 0 {
		return int(n), nil
	}
	if n, ok := realTime(full); ok {
		return n, nil
	}
	return 0, fmt.Errorf("stop signal %q is not known: %w", name, errdefs.ErrInvalidArgument)
}

func realTime(name string) (int, bool) {
	offset := func(s string) (int, bool) {
		if s == "" {
			return 0, true
		}
		n, err := strconv.Atoi(s)
		return n, err == nil
	}
	if rest, ok := strings.CutPrefix(name, "SIGRTMIN"); ok {
		n, ok := offset(rest)
		return rtmin + n, ok && n >= 0 && rtmin+n <= rtmax
	}
	if rest, ok := strings.CutPrefix(name, "SIGRTMAX"); ok {
		n, ok := offset(rest)
		return rtmax + n, ok && n <= 0 && rtmax+n >= rtmin
	}
	return 0, false
}

// stopSignalEnum is the CRI's name of a signal. Those of the real-time signals are in the order of their numbers.
func stopSignalEnum(number int) runtimev1.Signal {
	if number >= rtmin && number <= rtmax {
		return runtimev1.Signal_SIGNAL_SIGRTMIN + runtimev1.Signal(number-rtmin)
	}
	return runtimev1.Signal(runtimev1.Signal_value["SIGNAL_"+unix.SignalName(unix.Signal(number))])
}

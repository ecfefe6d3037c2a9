package monitor

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxAddress is what a unix socket's address holds, less the terminating zero.
const maxAddress = 107

// shorten gives an address for a socket's path of any length, good until done is called.
func shorten(path string) (address string, done func(), err error) {
	if len(path) <= maxAddress {
		return path, func() {}, nil
	}
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open %s: %w", filepath.Dir(path), err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(path)), func() { unix.Close(fd) }, nil
}

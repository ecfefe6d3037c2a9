package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// birthplace is the PID namespace that the thread's children are born into. The thread itself stays where it is; it must
// be locked, for Go can make no other thread from one whose children are born elsewhere.
type birthplace struct {
	home int // the thread's own namespace, 0 until it is needed
	away bool
}

// choose takes the namespace of a file, the thread's own for -1.
func (b *birthplace) choose(file int, files []int) error {
	if file < 0 && !b.away {
		return nil
	}
	if b.home == 0 {
		home, err := unix.Open("/proc/thread-self/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open own PID namespace: %w", err)
		}
		b.home = home
	}
	to := b.home
	if file >= 0 {
		to = files[file]
	}
	if err := unix.Setns(to, unix.CLONE_NEWPID); err != nil {
		return fmt.Errorf("choose PID namespace: %w", err)
	}
	b.away = file >= 0
	return nil
}

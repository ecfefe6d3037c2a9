package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program that runs on a pseudo-terminal, and what is typed and shown there.
type Terminal struct {
	cmd    *exec.Cmd
	master *os.File
	exited chan struct{}
	shown  chan []byte
	screen bytes.Buffer
	// looked is how much of the screen was matched already.
	looked int
}

// OpenTerminal starts cmd on a new terminal of the given size.
func OpenTerminal(cmd *exec.Cmd, rows, columns uint16) (*Terminal, error) {
	master, slave, err := openPTY()
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	defer slave.Close()
	t := &Terminal{cmd: cmd, master: master, exited: make(chan struct{}), shown: make(chan []byte, 64)}
	if err := t.Resize(rows, columns); err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, master.Close())
	}
	go t.read()
	go func() {
		_ = cmd.Wait()
		close(t.exited)
	}()
	return t, nil
}

func openPTY() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}

func (t *Terminal) read() {
	defer close(t.shown)
	for {
		block := make([]byte, 4096)
		n, err := t.master.Read(block)
		if n > 0 {
			t.shown <- block[:n]
		}
		if err != nil {
			return
		}
	}
}

// Resize changes the size of the terminal, of which the kernel tells the program.
func (t *Terminal) Resize(rows, columns uint16) error {
	if err := unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}

// Type sends keys to the program.
func (t *Terminal) Type(keys string) error {
	_, err := io.WriteString(t.master, keys)
	return err
}

// Expect waits until what was shown since the last match matches pattern, and returns the match and its groups.
func (t *Terminal) Expect(pattern string, within time.Duration) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	timeout := time.After(within)
	for {
		fresh := t.screen.Bytes()[t.looked:]
		if at := re.FindSubmatchIndex(fresh); at != nil {
			groups := make([]string, 0, len(at)/2)
			for _, group := range re.FindSubmatch(fresh) {
				groups = append(groups, string(group))
			}
			t.looked += at[1]
			return groups, nil
		}
		select {
		case block, open := <-t.shown:
			if !open {
				return nil, fmt.Errorf("the program ended without showing %q; the screen: %q", pattern, t.screen.String())
			}
			t.screen.Write(block)
		case <-timeout:
			return nil, fmt.Errorf("nothing like %q within %s; the screen: %q", pattern, within, t.screen.String())
		}
	}
}

// Screen is all that was shown so far.
func (t *Terminal) Screen() string { return t.screen.String() }

// Wait waits for the program's end and returns its exit code.
func (t *Terminal) Wait(within time.Duration) (int, error) {
	timeout := time.After(within)
	shown := t.shown
	for {
		select {
		case block, open := <-shown:
			if !open {
				shown = nil
				continue
			}
			t.screen.Write(block)
		case <-t.exited:
			return t.cmd.ProcessState.ExitCode(), nil
		case <-timeout:
			return 0, fmt.Errorf("the program runs on after %s; the screen: %q", within, t.screen.String())
		}
	}
}

// Close ends the program, if it runs on, and closes the terminal.
func (t *Terminal) Close() error {
	select {
	case <-t.exited:
	default:
		_ = t.cmd.Process.Kill()
		for range t.shown {
		}
		<-t.exited
	}
	return t.master.Close()
}

package harness

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// guardScript waits on its standard input. A line there means that all is well; the end of input without one means
// that whoever wrote to it died, and then it clears up for them.
const guardScript = `
trap '' INT TERM HUP
read -r _ && exit 0
"$1" down --purge --data-dir "$2" --run-dir "$3"
umount -l "$4"
rm -rf --one-file-system -- "$4"
`

// guard starts a process that takes the instance down when this process dies without having done so: killed, or after
// a panic. Containers outlive Mayfly, so they would outlive the test as well.
func (i *Instance) guard() error {
	if i.guardian != nil {
		return nil
	}
	cmd := exec.Command("/bin/sh", "-c", guardScript, "mayfly-test-guard", i.tools.Mayfly, i.DataDir, i.RunDir, i.Dir)
	// Neither a ^C at the terminal nor the end of the session reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	i.guardian = &guardian{input, cmd}
	return nil
}

type guardian struct {
	input io.WriteCloser
	cmd   *exec.Cmd
}

// dismiss ends the guard, since the instance is gone.
func (i *Instance) dismiss() error {
	if i.guardian == nil {
		return nil
	}
	g := i.guardian
	i.guardian = nil
	if _, err := io.WriteString(g.input, "\n"); err != nil {
		return fmt.Errorf("dismiss guard: %w", err)
	}
	return g.cmd.Wait()
}

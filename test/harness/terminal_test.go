package harness

import (
	"os/exec"
	"testing"
	"time"
)

func TestTerminal(t *testing.T) {
	term, err := OpenTerminal(exec.Command("sh", "-c", "stty size; read line; echo got $line; stty size; exit 7"), 30, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if _, err := term.Expect("30 100", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := term.Resize(40, 90); err != nil {
		t.Fatal(err)
	}
	if err := term.Type("hello\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := term.Expect("got hello\r\n40 90", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if code, err := term.Wait(10 * time.Second); err != nil || code != 7 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestTerminalIsEnded(t *testing.T) {
	term, err := OpenTerminal(exec.Command("sleep", "1000"), 24, 80)
	if err != nil {
		t.Fatal(err)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
}

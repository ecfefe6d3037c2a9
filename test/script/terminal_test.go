package script

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mayfly-run/mayfly/test/harness"
)

// tty FILE PROGRAM [arg...] runs a program on a terminal of 24 rows and 80 columns. FILE says line by line what to do
// there:
//
//	expect PATTERN     wait until the screen shows it
//	type TEXT          type it, and Return
//	keys TEXT          type it as it is; \x10 and the like are control keys
//	resize ROWS COLS   change the size of the terminal
//	exit CODE          wait for the program's end
//
// What was shown is the standard output.
func tty(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1, "tty FILE PROGRAM [arg...]")
	cmd, err := prepare(context.Background(), ts, args[1], args[2:]...)
	ts.Check(err)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	terminal, err := harness.OpenTerminal(cmd, 24, 80)
	ts.Check(err)
	defer func() { _ = terminal.Close() }()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		if err := step(terminal, line); err != nil {
			fmt.Fprint(ts.Stdout(), terminal.Screen())
			ts.Fatalf("%s: %v", line, err)
		}
	}
	fmt.Fprint(ts.Stdout(), terminal.Screen())
}

const terminalPatience = 30 * time.Second

func step(t *harness.Terminal, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "expect":
		_, err := t.Expect(rest, terminalPatience)
		return err
	case "type":
		return t.Type(rest + "\r")
	case "keys":
		keys, err := strconv.Unquote(`"` + rest + `"`)
		if err != nil {
			return err
		}
		return t.Type(keys)
	case "resize":
		var rows, columns uint16
		if _, err := fmt.Sscanf(rest, "%d %d", &rows, &columns); err != nil {
			return err
		}
		return t.Resize(rows, columns)
	case "exit":
		code, err := t.Wait(terminalPatience)
		if err == nil && strconv.Itoa(code) != rest {
			err = fmt.Errorf("exit code %d", code)
		}
		return err
	}
	return fmt.Errorf("unknown step %q", verb)
}

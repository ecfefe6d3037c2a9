package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/test/harness"
)

// patience is how long a step may take in all; the times of the table tell how long each took.
const patience = 60 * time.Second

// step is one command of the demo.
type step struct {
	// chapter is the heading that the step begins, if any.
	chapter string
	// proves says in a few words what the step shows; it is the step's line in the table. A step without it
	// prepares the next.
	proves string
	// look says what to look at in the output.
	look string
	// command is typed into a shell; do runs instead of it where the demo itself acts.
	command string
	do      func(ctx context.Context, d *demo) error
	// shown is what the output must match.
	shown string
	// fails is true for a command that must fail.
	fails bool
	// until repeats the command until the output matches.
	until bool
	// terminal holds pairs of what to wait for and what to type then.
	terminal []exchange
	// vital steps end the demo when they fail.
	vital bool
}

// exchange waits until a terminal shows something, and types.
type exchange struct{ shows, keys string }

type result struct {
	step step
	took time.Duration
	err  error
}

type demo struct {
	instance *harness.Instance
	tools    harness.Tools
	out      io.Writer
	dir      string
	results  []result
}

// play runs a step, shows it, and tells whether it proved what it should.
func (d *demo) play(ctx context.Context, s step) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.chapter != "" {
		fmt.Fprintf(d.out, "\n── %s %s\n", s.chapter, strings.Repeat("─", max(0, 86-len(s.chapter))))
	}
	fmt.Fprintf(d.out, "\n$ %s\n", s.command)
	start := time.Now()
	output, err := d.perform(ctx, s)
	took := time.Since(start)
	fmt.Fprint(d.out, indent(output))
	if err == nil {
		err = judge(s, output)
	}
	if err != nil {
		fmt.Fprintf(d.out, "  ✗ %v\n", err)
	}
	if s.look != "" {
		fmt.Fprintf(d.out, "  ☞ %s\n", s.look)
	}
	d.results = append(d.results, result{s, took, err})
	return err == nil
}

// perform returns what the step printed. A command's failure is an error unless it is meant to fail.
func (d *demo) perform(ctx context.Context, s step) (string, error) {
	switch {
	case s.do != nil:
		return "", s.do(ctx, d)
	case s.terminal != nil:
		return d.converse(ctx, s)
	}
	for {
		output, err := d.shell(ctx, s.command).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return string(output), err
		}
		if s.until && judge(s, string(output)) != nil && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if (err != nil) != s.fails {
			return string(output), fmt.Errorf("it should not have ended with %v", exitCode(err))
		}
		return string(output), nil
	}
}

func exitCode(err error) string {
	if err == nil {
		return "success"
	}
	return err.Error()
}

func (d *demo) shell(ctx context.Context, command string) *exec.Cmd {
	cmd := d.instance.Command(ctx, "/bin/sh", "-c", command)
	cmd.Dir = d.dir
	cmd.Env = append(cmd.Env, "PATH="+d.dir+":"+d.tools.Bin+":"+os.Getenv("PATH"), "TERM=dumb", "POD_CIDR="+d.instance.PodCIDRs[0])
	return cmd
}

// converse plays a step on a terminal.
func (d *demo) converse(ctx context.Context, s step) (string, error) {
	terminal, err := harness.OpenTerminal(d.shell(ctx, "exec "+s.command), 24, 100)
	if err != nil {
		return "", err
	}
	defer terminal.Close()
	for _, e := range s.terminal {
		if _, err := terminal.Expect(e.shows, patience/2); err != nil {
			return terminal.Screen(), err
		}
		if err := terminal.Type(e.keys); err != nil {
			return terminal.Screen(), err
		}
	}
	_, err = terminal.Wait(patience / 2)
	return terminal.Screen(), err
}

// judge compares what was shown with what should have been.
func judge(s step, output string) error {
	if s.shown == "" {
		return nil
	}
	matched, err := regexp.MatchString("(?m)"+s.shown, strings.ReplaceAll(output, "\r", ""))
	if err == nil && !matched {
		err = fmt.Errorf("nothing in it matches %q", s.shown)
	}
	return err
}

// control are the sequences by which a shell asks its terminal for the cursor and clears the rest of the screen.
var control = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

func indent(output string) string {
	output = control.ReplaceAllString(output, "")
	output = strings.TrimRight(strings.ReplaceAll(output, "\r", ""), "\n")
	if output == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(output, "\n", "\n  ") + "\n"
}

// table prints what was proved and how long each step took.
func (d *demo) table(total time.Duration) {
	fmt.Fprintf(d.out, "\n%-6s  %9s  %s\n%s\n", "", "took", "proved", strings.Repeat("─", 90))
	for _, r := range d.results {
		if r.step.proves == "" && r.err == nil {
			continue
		}
		verdict, what := "ok", r.step.proves
		if r.err != nil {
			verdict = "FAILED"
		}
		if what == "" {
			what = r.step.command
		}
		fmt.Fprintf(d.out, "%-6s  %6d ms  %s\n", verdict, r.took.Milliseconds(), what)
	}
	fmt.Fprintf(d.out, "%s\n%-6s  %6d ms  in all\n", strings.Repeat("─", 90), "", total.Milliseconds())
	fmt.Fprintln(d.out, "Each time is that of the whole command, the start of kubectl included. `make bench` measures Mayfly itself.")
}

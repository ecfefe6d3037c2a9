package script

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mayfly-run/mayfly/test/harness"
)

// stopLimit is how long `mayfly up` may take to stop.
const stopLimit = 5 * time.Second

type command = func(ts *testscript.TestScript, neg bool, args []string)

func commands() map[string]command {
	return map[string]command{
		"up":           up,
		"up-other":     upOther,
		"term":         term,
		"crash":        crash,
		"nothing-left": nothingLeft,
		"eventually":   eventually,
		"process":      process,
		"kill-monitor": killMonitor,
		"tty":          tty,
		"api":          api,
		"registry":     registry,
		"daemon-said":  daemonSaid,
		"corrupt":      corrupt,
		"background":   background,
		"as-nobody":    asNobody,
		"small-disk":   smallDisk,
		"notified":     notified,
		"neighbours":   neighbours,
		"heard":        heard,
		"etcd":         etcd,

		"certificate-request": certificateRequest,
	}
}

// usage ends a script whose command was called wrongly.
func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// up [-bare] [flag...] brings Mayfly up, the first time with all images unless -bare. With ! it must refuse to, and
// its words are the standard error.
func up(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	_, err := os.Stat(s.instance.DataDir)
	images := os.IsNotExist(err)
	if len(args) > 0 && args[0] == "-bare" {
		images, args = false, args[1:]
	}
	s.instance.Flags = args
	err = s.start(s.instance, images && !neg)
	if neg {
		if err == nil {
			ts.Fatalf("up: it came up")
		}
		fmt.Fprintln(ts.Stderr(), err)
		return
	}
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), s.instance.ReadyLine())
}

// up-other NAME brings up one more instance beside the story's own and sets NAME_KUBECONFIG and NAME_DATA_DIR.
func upOther(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "up-other NAME")
	s := of(ts)
	other, err := harness.New(s.tools)
	ts.Check(err)
	s.others[args[0]] = other
	ts.Check(s.start(other, true))
	ts.Setenv(args[0]+"_KUBECONFIG", other.Kubeconfig)
	ts.Setenv(args[0]+"_DATA_DIR", other.DataDir)
	ts.Setenv(args[0]+"_RUN_DIR", other.RunDir)
}

// notified STATE waits until the daemon tells systemd a state, sd_notify(3). The first call, before up and without a
// state, opens the socket.
func notified(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) <= 1, "notified [STATE]")
	s := of(ts)
	if len(args) == 0 {
		address := &net.UnixAddr{Name: s.instance.Dir + "/notify", Net: "unixgram"}
		socket, err := net.ListenUnixgram("unixgram", address)
		ts.Check(err)
		ts.Defer(func() { _ = socket.Close() })
		s.notify, s.instance.Environ = socket, []string{"NOTIFY_SOCKET=" + address.Name}
		return
	}
	ts.Check(s.notify.SetReadDeadline(time.Now().Add(10 * time.Second)))
	for {
		message := make([]byte, 4096)
		n, err := s.notify.Read(message)
		ts.Check(err)
		if strings.Contains(string(message[:n]), args[0]) {
			return
		}
	}
}

// small-disk MEGABYTES puts all that the instance stores on a file system of that size.
func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "small-disk MEGABYTES")
	size, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(of(ts).instance.SmallDisk(size))
}

// term sends SIGTERM to Mayfly, which must end cleanly within its time.
func term(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "term")
	took, code, err := of(ts).instance.Signal(syscall.SIGTERM)
	ts.Check(err)
	if code != 0 || took > stopLimit {
		ts.Fatalf("term: exit code %d after %s, want 0 within %s", code, took, stopLimit)
	}
}

// crash kills Mayfly as kill -9 does.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "crash")
	_, _, err := of(ts).instance.Signal(syscall.SIGKILL)
	ts.Check(err)
}

// nothing-left fails when the instance has anything on the machine.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 0, "nothing-left")
	left := of(ts).instance.Await(5 * time.Second)
	if (len(left) > 0) != neg {
		ts.Fatalf("left on the machine: %q", left)
	}
}

// eventually DURATION PATTERN PROGRAM [arg...] runs a program again and again until it succeeds and what it prints
// matches the pattern. A pattern with ! before it must stop matching.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 2, "eventually DURATION PATTERN PROGRAM [arg...]")
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	pattern, inverted := strings.CutPrefix(args[1], "!")
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	var out []byte
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		out, err = run(ts, args[2], args[3:]...)
		if err == nil && re.Match(out) != inverted {
			_, _ = ts.Stdout().Write(out)
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s within %s: %v\n%s", args[1], limit, err, out)
		}
	}
}

// run runs a program with the environment of the script and returns both its outputs.
func run(ts *testscript.TestScript, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd, err := prepare(ctx, ts, program, args...)
	if err != nil {
		return nil, err
	}
	return cmd.CombinedOutput()
}

// prepare makes a command with the environment and directory of the script.
func prepare(ctx context.Context, ts *testscript.TestScript, program string, args ...string) (*exec.Cmd, error) {
	var path string
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if info, err := os.Stat(dir + "/" + program); err == nil && !info.IsDir() {
			path = dir + "/" + program
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("%s: %w", program, exec.ErrNotFound)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "KUBECONFIG", "MAYFLY_DATA_DIR", "MAYFLY_RUN_DIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd, nil
}

// process PATTERN looks for a process of the machine whose command line, words joined by blanks, matches. It waits a
// little, since processes come and go in their own time.
func process(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, "process PATTERN")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		found := find(ts, args[0])
		if (len(found) > 0) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("processes that match %q: %v", args[0], found)
		}
	}
}

// find lists the processes whose whole command line matches.
func find(ts *testscript.TestScript, pattern string) []int {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	ts.Check(err)
	entries, err := os.ReadDir("/proc")
	ts.Check(err)
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if re.MatchString(strings.Join(strings.FieldsFunc(string(line), func(r rune) bool { return r == 0 }), " ")) {
			found = append(found, pid)
		}
	}
	return found
}

// kill-monitor PATTERN kills, as kill -9 does, the Pod monitor that a container's process of that command line has
// as its parent.
func killMonitor(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "kill-monitor PATTERN")
	found := find(ts, args[0])
	if len(found) != 1 {
		ts.Fatalf("processes that match %q: %v", args[0], found)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", found[0]))
	ts.Check(err)
	match := regexp.MustCompile(`(?m)^PPid:\s+(\d+)$`).FindSubmatch(status)
	parent, err := strconv.Atoi(string(match[1]))
	ts.Check(err)
	if parent <= 1 || parent == os.Getpid() || parent == of(ts).instance.PID() {
		ts.Fatalf("%q has process %d for its parent, which is no monitor", args[0], parent)
	}
	ts.Check(syscall.Kill(parent, syscall.SIGKILL))
}

// daemon-said PATTERN looks for a line in what the daemon printed.
func daemonSaid(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, "daemon-said PATTERN")
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if output := of(ts).instance.Output(); re.MatchString(output) == neg {
		ts.Fatalf("the daemon's output: %s", output)
	}
}

// corrupt FILE... overwrites the middle of files with noise, as a broken disk would.
func corrupt(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "corrupt FILE...")
	for _, name := range args {
		file := ts.MkAbs(name)
		data, err := os.ReadFile(file)
		ts.Check(err)
		for at := len(data) / 3; at < len(data)*2/3+1 && at < len(data); at++ {
			data[at] ^= 0x5a
		}
		ts.Check(os.WriteFile(file, data, 0o600))
	}
}

// background PATTERN PROGRAM [arg...] starts a program that runs until the end of the script, and waits until its
// output matches. What it printed is the standard output.
func background(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1, "background PATTERN PROGRAM [arg...]")
	cmd, err := prepare(context.Background(), ts, args[1], args[2:]...)
	ts.Check(err)
	terminal, err := harness.OpenTerminal(cmd, 24, 200)
	ts.Check(err)
	ts.Defer(func() { _ = terminal.Close() })
	_, err = terminal.Expect(args[0], 30*time.Second)
	fmt.Fprint(ts.Stdout(), terminal.Screen())
	ts.Check(err)
}

// as-nobody PROGRAM [arg...] runs a program as a user that is not root.
func asNobody(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 0, "as-nobody PROGRAM [arg...]")
	cmd, err := prepare(context.Background(), ts, args[0], args[1:]...)
	ts.Check(err)
	// The checkout may lie where only root can read.
	program, err := copyProgram(cmd.Path)
	ts.Check(err)
	defer os.RemoveAll(program)
	cmd.Path, cmd.Dir = program, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err := cmd.Run(); (err != nil) != neg {
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}

func copyProgram(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp("/tmp", "mayfly-as-nobody-")
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	return file.Name(), errors.Join(err, file.Chmod(0o755), file.Close())
}

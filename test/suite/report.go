// Package suite is what it takes to run upstream's ginkgo suites where no registry can be reached: a registry on loopback
// that stands for theirs, and a verdict on their report by lists of what is to be expected, each with its reason.
package suite

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// List is a file of specs with a reason each: lines of "name  # reason".
type List map[string]string

// ReadList reads such a file. A line without a reason is an error.
func ReadList(path string) (List, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := List{}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, "  # ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %q names no reason", path, line)
		}
		out[strings.TrimSpace(name)] = reason
	}
	return out, nil
}

// Result is what came of one spec: its full name, its state in ginkgo's words, why it failed or was skipped.
type Result struct {
	Name, State, Message string
}

// Run runs a suite, made with exec.CommandContext of ctx, and takes failed specs for no error: the report tells.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil
	}
	return cmp.Or(ctx.Err(), err)
}

// ReadReport reads ginkgo's JSON report.
func ReadReport(path string) ([]Result, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var suites []struct {
		SpecReports []struct {
			ContainerHierarchyTexts []string
			LeafNodeType            string
			LeafNodeText            string
			State                   string
			Failure                 struct{ Message string }
		}
	}
	if err := json.Unmarshal(content, &suites); err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	var out []Result
	for _, suite := range suites {
		for _, spec := range suite.SpecReports {
			name := strings.Join(append(spec.ContainerHierarchyTexts, spec.LeafNodeText), " ")
			if spec.LeafNodeType != "It" {
				if spec.State == "passed" || spec.State == "skipped" {
					continue
				}
				name = spec.LeafNodeType
			}
			out = append(out, Result{Name: name, State: spec.State, Message: spec.Failure.Message})
		}
	}
	return out, nil
}

// Judge prints a verdict on a suite's results: what failed as expected, what did otherwise, and counts. What did otherwise
// is an error; unless whole, because specs were picked, only a failure is.
func Judge(name string, results []Result, skip, expected List, whole bool) error {
	passed, failed, skipped, surprises := verdict(results, skip, expected)
	if !whole {
		surprises = nil
	}
	for _, r := range results {
		if reason := expected[r.Name]; r.State != "passed" && reason != "" {
			fmt.Printf("fails as expected: %s: %s\n", r.Name, reason)
		}
	}
	for _, surprise := range surprises {
		fmt.Println(surprise)
	}
	fmt.Printf("%s: %d passed, %d failed, %d skipped of %d\n", name, passed, failed, skipped, len(results))
	switch {
	case len(results) == 0:
		return errors.New("the suite reported nothing")
	case !whole && failed > 0:
		return fmt.Errorf("%d specs failed", failed)
	case len(surprises) > 0:
		return fmt.Errorf("%d specs did otherwise than expected", len(surprises))
	}
	return nil
}

// verdict counts, and names what was not to be expected: failures that are not listed, listed ones that pass by now,
// and specs that the suite itself left out for a reason that is not listed.
func verdict(results []Result, skip, expected List) (passed, failed, skipped int, surprises []string) {
	for _, r := range results {
		_, known := expected[r.Name]
		switch r.State {
		case "passed":
			passed++
			if known {
				surprises = append(surprises, "passes now, take it out of expected.txt: "+r.Name)
			}
		case "skipped", "pending":
			skipped++
			if reason := skip.reason(r); reason == "" {
				surprises = append(surprises, fmt.Sprintf("skipped without a reason in skip.txt: %s (%s)", r.Name, r.Message))
			}
		default:
			failed++
			if !known {
				surprises = append(surprises, fmt.Sprintf("%s: %s", r.State, r.Name))
			}
		}
	}
	return passed, failed, skipped, surprises
}

// reason tells why a spec is skipped, by a listed part of its name.
func (l List) reason(r Result) string {
	for name, reason := range l {
		if strings.Contains(r.Name, name) {
			return reason
		}
	}
	return ""
}

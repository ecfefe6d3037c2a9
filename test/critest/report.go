package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// list is a file of specs with a reason each: lines of "name  # reason".
type list map[string]string

func readList(path string) (list, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := list{}
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

// result is what came of one spec.
type result struct {
	name, state, message string
}

// readReport reads ginkgo's JSON report.
func readReport(path string) ([]result, error) {
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
	var out []result
	for _, suite := range suites {
		for _, spec := range suite.SpecReports {
			name := strings.Join(append(spec.ContainerHierarchyTexts, spec.LeafNodeText), " ")
			if spec.LeafNodeType != "It" {
				if spec.State == "passed" || spec.State == "skipped" {
					continue
				}
				name = spec.LeafNodeType
			}
			out = append(out, result{name: name, state: spec.State, message: spec.Failure.Message})
		}
	}
	return out, nil
}

// verdict counts, and names what was not to be expected: failures that are not listed, listed ones that pass by now,
// and specs that the suite itself left out for a reason that is not listed.
func verdict(results []result, skip, expected list) (passed, failed, skipped int, surprises []string) {
	for _, r := range results {
		_, known := expected[r.name]
		switch r.state {
		case "passed":
			passed++
			if known {
				surprises = append(surprises, "passes now, take it out of expected.txt: "+r.name)
			}
		case "skipped", "pending":
			skipped++
			if reason := skip.reason(r); reason == "" {
				surprises = append(surprises, fmt.Sprintf("skipped without a reason in skip.txt: %s (%s)", r.name, r.message))
			}
		default:
			failed++
			if !known {
				surprises = append(surprises, fmt.Sprintf("%s: %s", r.state, r.name))
			}
		}
	}
	return passed, failed, skipped, surprises
}

// reason tells why a spec is skipped, by a listed part of its name.
func (l list) reason(r result) string {
	for name, reason := range l {
		if strings.Contains(r.name, name) {
			return reason
		}
	}
	return ""
}

package env

import (
	"fmt"
	"strings"
)

// ParseFile reads the environment file that a fileKeyRef names: lines of NAME='value', where a value is taken
// literally and may span lines; blank lines and lines that start with # are skipped.
func ParseFile(text string) (map[string]string, error) {
	vars := map[string]string{}
	for line := 1; text != ""; line++ {
		head, _, _ := strings.Cut(text, "\n")
		trimmed := strings.TrimSpace(head)
		if trimmed == "" || trimmed[0] == '#' {
			text = strings.TrimPrefix(text[len(head):], "\n")
			continue
		}
		name, rest, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !ok || strings.ContainsAny(name, "\n'") || name == "" {
			return nil, fmt.Errorf("line %d: expected NAME='value'", line)
		}
		if !strings.HasPrefix(rest, "'") {
			return nil, fmt.Errorf("line %d: value of %s is not in single quotes", line, name)
		}
		value, after, ok := strings.Cut(rest[1:], "'")
		if !ok {
			return nil, fmt.Errorf("line %d: value of %s has no closing quote", line, name)
		}
		tail, remaining, _ := strings.Cut(after, "\n")
		if tail = strings.TrimSpace(tail); tail != "" && tail[0] != '#' {
			return nil, fmt.Errorf("line %d: text after the value of %s", line, name)
		}
		vars[name] = value
		line += strings.Count(value, "\n")
		text = remaining
	}
	return vars, nil
}

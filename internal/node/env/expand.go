package env

import "strings"

// Expand replaces $(NAME) by lookup's answer. A name that lookup does not know stays as it is written, $$ stands for
// one dollar sign, and everything else is copied: the rule of the Container reference for env, command and args.
func Expand(input string, lookup func(name string) (string, bool)) string {
	if !strings.Contains(input, "$") {
		return input
	}
	var out strings.Builder
	for i := 0; i < len(input); {
		if input[i] != '$' || i+1 == len(input) {
			out.WriteByte(input[i])
			i++
			continue
		}
		switch input[i+1] {
		case '$':
			out.WriteByte('$')
			i += 2
		case '(':
			i += expandReference(&out, input[i:], lookup)
		default:
			out.WriteString(input[i : i+2])
			i += 2
		}
	}
	return out.String()
}

// expandReference handles text that starts with "$(" and returns how much of it was used.
func expandReference(out *strings.Builder, text string, lookup func(string) (string, bool)) int {
	end := strings.IndexByte(text, ')')
	if end < 0 {
		out.WriteString("$(")
		return 2
	}
	if value, ok := lookup(text[2:end]); ok {
		out.WriteString(value)
	} else {
		out.WriteString(text[:end+1])
	}
	return end + 1
}

// ExpandAll expands each of list.
func ExpandAll(list []string, lookup func(string) (string, bool)) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Expand(s, lookup)
	}
	return out
}

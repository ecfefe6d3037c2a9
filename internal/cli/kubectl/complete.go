package kubectl

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// complete asks kubectl itself to complete its arguments.
func (o *options) complete(ctx context.Context, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	inner := append([]string{cobra.ShellCompRequestCmd}, args...)
	inner = append(inner, toComplete)
	if _, err := o.point(inner); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out bytes.Buffer
	command := tree(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: io.Discard}, inner)
	if err := command.ExecuteContext(ctx); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return parseCompletions(out.String())
}

// parseCompletions reads the answer of cobra's hidden completion command: one candidate a line, and a last line of
// ":" and the directive.
func parseCompletions(answer string) ([]string, cobra.ShellCompDirective) {
	lines := strings.Split(strings.TrimRight(answer, "\n"), "\n")
	last := lines[len(lines)-1]
	directive, err := strconv.Atoi(strings.TrimPrefix(last, ":"))
	if err != nil || !strings.HasPrefix(last, ":") {
		return nil, cobra.ShellCompDirectiveError
	}
	return lines[:len(lines)-1], cobra.ShellCompDirective(directive)
}

// Package kubectl is `mayfly kubectl`: the real kubectl, from its own library, pointed at the machine's Mayfly.
//
// Arguments go to it untouched. It differs from a kubectl of one's own in where it looks for a cluster last: after
// --kubeconfig and $KUBECONFIG comes the administrator's kubeconfig of the instance, not ~/.kube/config.
package kubectl

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	upstream "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	_ "github.com/mayfly-run/mayfly/internal/cli/kubectl/language" // before kubectl's packages are initialized
)

// kubeconfigEnv is the variable that kubectl, its `config` verbs and its plugins all read.
const kubeconfigEnv = "KUBECONFIG"

type options struct {
	streams genericiooptions.IOStreams
	// exit ends the process with kubectl's own exit code.
	exit func(code int)
}

// New returns the command. It is cheap: kubectl's tree of commands is built when it is run.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := options{streams: streams, exit: os.Exit}
	return &cobra.Command{
		Use:                "kubectl",
		Short:              "kubectl for this machine's Mayfly",
		DisableFlagParsing: true,
		RunE:               func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return o.complete(cmd.Context(), args, toComplete)
		},
	}
}

func (o *options) run(ctx context.Context, args []string) error {
	found, err := o.point(args)
	if err != nil {
		return err
	}
	// kubectl has its own way with signals: it dies of them where it does not ask for them.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	cmdutil.BehaviorOnFatal(func(message string, code int) {
		fmt.Fprint(o.streams.ErrOut, explain(message, found))
		o.exit(code)
	})
	command := tree(o.streams, args)
	command.SetContext(ctx)
	if err := cli.RunNoErrOutput(command); err != nil {
		cmdutil.CheckErr(err)
	}
	return nil
}

// point sets $KUBECONFIG to the instance's kubeconfig where args and the environment name no cluster. It answers the
// file, or "" where it left things as they were.
func (o *options) point(args []string) (string, error) {
	if namesCluster(args) || os.Getenv(kubeconfigEnv) != "" {
		return "", nil
	}
	file, err := instanceKubeconfig()
	if err != nil {
		if offline(args) {
			return "", nil
		}
		return "", err
	}
	if err := os.Setenv(kubeconfigEnv, file); err != nil {
		return "", fmt.Errorf("set $%s: %w", kubeconfigEnv, err)
	}
	return file, nil
}

// tree builds kubectl's commands.
func tree(streams genericiooptions.IOStreams, args []string) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true).
		WithDeprecatedPasswordFlag().
		WithDiscoveryBurst(300).
		WithDiscoveryQPS(50).
		WithWarningPrinter(streams)
	command := upstream.NewDefaultKubectlCommandWithArgs(upstream.KubectlOptions{
		PluginHandler: upstream.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, args...),
		ConfigFlags:   flags,
		IOStreams:     streams,
	})
	command.SetArgs(args)
	command.SetIn(streams.In)
	command.SetOut(streams.Out)
	command.SetErr(streams.ErrOut)
	return command
}

// explain adds the remedy to what kubectl says of an instance that does not answer.
func explain(message, found string) string {
	if message == "" {
		return ""
	}
	message = strings.TrimSuffix(message, "\n") + "\n"
	if found != "" && strings.Contains(message, "was refused") {
		message += fmt.Sprintf("No Mayfly answers at the address in %s. Start it with: mayfly up\n", found)
	}
	return message
}

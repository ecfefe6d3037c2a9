// Package program is `mayfly program`: print the system calls that a container is started by.
package program

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/config"
)

// New returns the command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	var runDir string
	dataDir := config.Default().DataDir
	cmd := &cobra.Command{
		Use:   "program CONTAINER",
		Short: "Print the launch program of a container: the system calls that it is started by",
		Long: "Print the launch program of a container that has not ended: the system calls that it is started by.\n" +
			"CONTAINER is its ID, or the beginning of it, as a Pod's status has it: mayfly://0123… or 0123…",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(dataDir)
			if err != nil {
				return fmt.Errorf("--data-dir: %w", err)
			}
			instance, err := config.Load(dir)
			if err != nil {
				return err
			}
			if runDir != "" {
				instance.RunDir = runDir
			}
			text, err := ask(cmd.Context(), instance.RuntimeSocket(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(streams.Out, text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dataDir, "data-dir", dataDir, "data directory of the instance")
	f.StringVar(&runDir, "run-dir", "", "run directory of the instance (default: the one that it was up with)")
	return cmd
}

// ask has the runtime print the program, for it alone knows what the container is made of.
func ask(ctx context.Context, socket, name string) (string, error) {
	_, id, found := strings.Cut(name, "://")
	if !found {
		id = name
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", fmt.Errorf("connect to the runtime: %w", err)
	}
	defer conn.Close()
	answer, err := runtimev1.NewRuntimeServiceClient(conn).ContainerStatus(ctx, &runtimev1.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return "", fmt.Errorf("ask the runtime at %s: %s", socket, status.Convert(err).Message())
	}
	program := answer.GetInfo()["program"]
	if why, none := strings.CutPrefix(program, "none: "); none {
		return "", fmt.Errorf("no program of container %s any more: %s", id, why)
	}
	return program, nil
}

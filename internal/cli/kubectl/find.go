package kubectl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/config"
)

// serverless are the verbs of kubectl that work without any cluster.
var serverless = []string{"", "__complete", "__completeNoDesc", "completion", "config", "help", "kuberc", "kustomize", "options", "plugin"}

// instanceKubeconfig finds the administrator's kubeconfig of the instance in $MAYFLY_DATA_DIR, or of the machine's
// only one.
func instanceKubeconfig() (string, error) {
	dataDir := config.Default().DataDir
	file := filepath.Join(dataDir, "admin.kubeconfig")
	instance, err := config.Load(dataDir)
	switch {
	case err == nil:
		file = instance.Kubeconfig
	case errors.Is(err, fs.ErrPermission):
		return "", rootAlone(filepath.Join(dataDir, "instance.json"))
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("no kubeconfig at %s, so no Mayfly was ever up with %s: start one with `mayfly up`, name its data directory in $%s, or name another cluster with --kubeconfig or $%s",
			file, dataDir, config.DataDirEnv, kubeconfigEnv)
	case errors.Is(err, fs.ErrPermission):
		return "", rootAlone(file)
	case err != nil:
		return "", fmt.Errorf("open kubeconfig: %w", err)
	}
	return file, f.Close()
}

func rootAlone(file string) error {
	return fmt.Errorf("%s may be read by root alone: run `sudo mayfly kubectl …`, or copy the kubeconfig for yourself and name the copy in $%s", file, kubeconfigEnv)
}

// namesCluster tells whether the arguments say themselves where the cluster is.
func namesCluster(args []string) bool {
	for _, arg := range kubectlOwn(args) {
		name, _, _ := strings.Cut(arg, "=")
		if name == "--kubeconfig" || name == "--server" || arg == "-s" {
			return true
		}
		if strings.HasPrefix(arg, "-s") && strings.Contains(arg, "://") {
			return true
		}
	}
	return false
}

// offline tells whether the arguments ask for something that needs no cluster.
func offline(args []string) bool {
	verb := ""
	for _, arg := range kubectlOwn(args) {
		if arg == "-h" || arg == "--help" || strings.HasPrefix(arg, "--client") && arg != "--client=false" {
			return true
		}
		if verb == "" && !strings.HasPrefix(arg, "-") {
			verb = arg
		}
	}
	return slices.Contains(serverless, verb)
}

// kubectlOwn cuts off what stands after "--", which belongs to a command that kubectl runs.
func kubectlOwn(args []string) []string {
	if end := slices.Index(args, "--"); end >= 0 {
		return args[:end]
	}
	return args
}

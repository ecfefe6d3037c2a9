package compile

import (
	"encoding/json"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Text gives the launch program of a container as people read it (see launch.Program.String),
// from its OCI configuration in JSON, as the runtime keeps it in config.json. Nothing runs;
// namespaces, cgroups and sources of mounts that the configuration names must exist.
func Text(config []byte, opt Options) (string, error) {
	var spec specs.Spec
	if err := json.Unmarshal(config, &spec); err != nil {
		return "", fmt.Errorf("decode OCI configuration: %w", err)
	}
	program, files, err := Container(&spec, opt)
	if err != nil {
		return "", fmt.Errorf("compile OCI configuration: %w", err)
	}
	for _, f := range files {
		f.Close()
	}
	return program.String(), nil
}

// Package binary holds the Pod monitor's executable, built by `make monitor`
// before everything else (see internal/launch/README.md).
package binary

import "embed"

//go:embed all:dist
var dist embed.FS

// Executable returns a copy of the monitor, or nil when it was not built in;
// monitor.NewExecutable then says how to build it.
func Executable() []byte {
	content, err := dist.ReadFile("dist/podmonitor")
	if err != nil {
		return nil
	}
	return content
}

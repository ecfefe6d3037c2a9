// Package harness runs throw-away Mayflies for the end-to-end tests, the demo and the benchmarks: each in temporary
// directories, on a free loopback port, with a Pod network of its own, and gone without a trace afterwards.
//
// Start at Find, which tells where the built programs are, and Start, which brings an Instance up.
package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/test/image"
)

// Tools are the programs under test and those that test them.
type Tools struct {
	// Root is the checkout.
	Root string
	// Bin is the directory of all of them.
	Bin string
	// Mayfly is the built binary.
	Mayfly string
	// Kubectl132 and Kubectl120 are stock kubectl 1.32 and 1.20.2.
	Kubectl132, Kubectl120 string
	// Busybox is a static busybox, App the built test/program/app.
	Busybox, App string
}

// Find returns the tools of the checkout that holds the working directory. What is missing is an error that says how
// to build it: tests never go without.
func Find() (Tools, error) {
	root, err := checkout()
	if err != nil {
		return Tools{}, err
	}
	bin := filepath.Join(root, "bin")
	t := Tools{
		Root: root, Bin: bin, Mayfly: filepath.Join(bin, "mayfly"), Busybox: filepath.Join(bin, "busybox"),
		App: filepath.Join(bin, "testapp"), Kubectl132: filepath.Join(bin, "kubectl-1.32"), Kubectl120: filepath.Join(bin, "kubectl-1.20"),
	}
	var errs []error
	for _, program := range []string{t.Mayfly, t.Kubectl132, t.Kubectl120, t.Busybox, t.App} {
		if _, err := os.Stat(program); err != nil {
			errs = append(errs, fmt.Errorf("%w: run `make build tools` first", err))
		}
	}
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("these tests run containers, which takes root"))
	}
	return t, errors.Join(errs...)
}

// Programs are what test images are built from.
func (t Tools) Programs() image.Programs { return image.Programs{Busybox: t.Busybox, App: t.App} }

// checkout is the closest parent of the working directory that holds .ci/run, which only the main module does.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, ".ci", "run"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the checkout: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}

package suite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/mayfly-run/mayfly/test/image"
)

// HostPrograms are files of an image: programs of this machine in /usr/bin, with the shared libraries that they need,
// whose directories the image must have.
func HostPrograms(names ...string) ([]image.File, error) {
	var files []image.File
	var paths []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, image.File{Name: "usr/bin/" + name, Mode: 0o755, Content: content})
		paths = append(paths, path)
	}
	libraries, err := Libraries(paths...)
	return append(files, libraries...), err
}

var libraryPath = regexp.MustCompile(`/\S+\.so\S*`)

// Libraries are the shared libraries that programs of this machine need, each once.
func Libraries(programs ...string) ([]image.File, error) {
	var files []image.File
	var errs []error
	seen := map[string]bool{}
	for _, program := range programs {
		out, err := exec.Command("ldd", program).Output()
		if err != nil {
			return nil, fmt.Errorf("libraries of %s: %w", program, err)
		}
		for _, path := range libraryPath.FindAllString(string(out), -1) {
			name := strings.TrimPrefix(filepath.Clean(path), "/")
			if seen[name] {
				continue
			}
			seen[name] = true
			content, err := os.ReadFile(path)
			errs = append(errs, err)
			files = append(files, image.File{Name: name, Mode: 0o755, Content: content})
		}
	}
	return files, errors.Join(errs...)
}

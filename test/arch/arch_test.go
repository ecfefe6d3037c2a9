// Package arch enforces the rules that ARCHITECTURE.md gives for the tree: who may import whom, and how long a file may
// be. They are checked on the source alone, so the test needs nothing built and takes no time.
package arch

import (
	"bufio"
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mayfly-run/mayfly/"

// maxLines is the length that no hand-written file exceeds.
const maxLines = 600

// rule forbids imports to the packages below a directory, except those that are allowed again.
type rule struct {
	within string
	forbid []string
	except []string
	// tests are what _test.go files may import besides, to compare with.
	tests   []string
	because string
}

// ours turns directories of the module into import paths.
func ours(dirs ...string) []string {
	for i, dir := range dirs {
		dirs[i] = module + dir
	}
	return dirs
}

var rules = []rule{
	{within: ".", forbid: []string{"k8s.io/kubernetes"}, because: "it is no library, and brings all of Kubernetes"},
	{
		within: "internal/apiserver", forbid: ours("internal/controller", "internal/node", "internal/cri", "internal/launch", "internal/daemon"),
		because: "planes know only the boundary below them",
	},
	{
		within: "internal/controller", forbid: ours("internal/apiserver", "internal/node", "internal/cri", "internal/launch", "internal/daemon"),
		because: "controllers are clients of the Kubernetes API",
	},
	{
		within: "internal/node", forbid: append(ours("internal/apiserver", "internal/controller", "internal/cri", "internal/launch", "internal/daemon"), "github.com/containerd", "k8s.io/apiserver"),
		because: "the node agent reaches containers through the CRI alone", except: []string{"github.com/containerd/errdefs"},
	},
	{
		within: "internal/cri", forbid: append(ours("internal/apiserver", "internal/controller", "internal/node", "internal/daemon"), "k8s.io/client-go", "k8s.io/apiserver", "k8s.io/api/"),
		because: "the runtime serves any CRI client and knows no API server",
	},
	{
		within: "internal/launch", forbid: append(ours("internal/"), "k8s.io/", "github.com/containerd", "google.golang.org"),
		except: ours("internal/launch"), tests: []string{"github.com/containerd/containerd/v2/contrib/seccomp"}, because: "launch knows the kernel and nothing else",
	},
	{
		within: "internal/debug", forbid: ours("internal/apiserver", "internal/controller", "internal/node", "internal/cri", "internal/launch", "internal/daemon"),
		because: "debug sessions work on any cluster",
	},
	{within: "cmd", forbid: ours("internal/"), except: ours("internal/cli", "internal/launch"), because: "commands only enter the program"},
	{
		within: "cmd/podmonitor", forbid: []string{"k8s.io/", "github.com/", "google.golang.org", "go.etcd.io"}, except: ours("internal/launch"),
		because: "the monitor is the process that must stay small",
	},
	{within: "internal/cli", forbid: ours("internal/apiserver", "internal/controller", "internal/node"), because: "only internal/daemon wires planes together"},
}

// planes are the directories of which only internal/daemon may import several.
var planes = []string{"internal/apiserver", "internal/controller", "internal/node", "internal/cri"}

// source is one Go file of the module.
type source struct {
	path    string
	lines   int
	imports []string
	// generated files may be of any length.
	generated bool
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		for _, r := range rules {
			for _, imported := range s.imports {
				if r.forbids(s.path, imported) {
					t.Errorf("%s imports %s: %s", s.path, imported, r.because)
				}
			}
		}
	}
}

func (r rule) forbids(file, imported string) bool {
	within := r.within == "." || strings.HasPrefix(file, r.within+"/")
	allowed := matches(imported, r.except) || strings.HasSuffix(file, "_test.go") && matches(imported, r.tests)
	return within && matches(imported, r.forbid) && !allowed
}

// matches tells whether a path is one of the given ones or below it.
func matches(imported string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		return imported == strings.TrimSuffix(p, "/") || strings.HasPrefix(imported, strings.TrimSuffix(p, "/")+"/")
	})
}

func TestOnlyDaemonWiresPlanes(t *testing.T) {
	reached := map[string][]string{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "test/") {
			continue
		}
		dir := path.Dir(s.path)
		for _, imported := range s.imports {
			for _, plane := range planes {
				if matches(imported, ours(plane)) && !slices.Contains(reached[dir], plane) {
					reached[dir] = append(reached[dir], plane)
				}
			}
		}
	}
	for dir, found := range reached {
		if len(found) > 1 && dir != "internal/daemon" && !strings.HasPrefix(dir, "internal/daemon/") {
			t.Errorf("%s imports several planes: %v", dir, found)
		}
	}
}

func TestConventions(t *testing.T) {
	vague := regexp.MustCompile(`^(utils?|commons?|helpers?|misc)$`)
	unfinished := regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	for _, s := range sources(t) {
		if s.lines > maxLines && !s.generated {
			t.Errorf("%s has %d lines, and no file may have more than %d", s.path, s.lines, maxLines)
		}
		for segment := range strings.SplitSeq(path.Dir(s.path), "/") {
			if vague.MatchString(segment) {
				t.Errorf("%s: name the package after what it holds", s.path)
			}
		}
		if strings.HasPrefix(s.path, "test/arch/") || s.generated {
			continue
		}
		data, err := os.ReadFile(filepath.Join("..", "..", s.path))
		if err != nil {
			t.Fatal(err)
		}
		if at := unfinished.FindIndex(data); at != nil {
			t.Errorf("%s:%d: %s: finish it or file an issue", s.path, 1+bytes.Count(data[:at[0]], []byte("\n")), data[at[0]:at[1]])
		}
	}
}

// TestPackageDocs wants every package to say what it is for.
func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		dir := path.Dir(s.path)
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", s.path), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		documented[dir] = documented[dir] || file.Doc != nil || s.generated
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no documentation", dir)
		}
	}
}

// sources reads every Go file of the main module.
func sources(t *testing.T) []source {
	root := filepath.Join("..", "..")
	var found []source
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, file)
		if d.IsDir() {
			if d.Name() == "testdata" || relative != "." && strings.HasPrefix(d.Name(), ".") || relative == "bin" || anotherModule(root, file) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(file, ".go") {
			s, err := read(file, filepath.ToSlash(relative))
			found = append(found, s)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 50 {
		t.Fatalf("only %d files found: this test looks in the wrong place", len(found))
	}
	return found
}

func anotherModule(root, dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil && filepath.Clean(dir) != filepath.Clean(root)
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func read(file, relative string) (source, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return source{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, data, parser.ImportsOnly)
	if err != nil {
		return source{}, fmt.Errorf("parse %s: %w", relative, err)
	}
	s := source{path: relative, generated: generated.Match(data)}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		s.lines++
	}
	for _, i := range parsed.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imported)
	}
	return s, nil
}

package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// symbol is how documents name code: a package below internal/, an exported or unexported name, and maybe a method,
// as in `node/pod.Worker.Run`.
var symbol = regexp.MustCompile("`((?:[a-z0-9]+/)*[a-z0-9]+)\\.([A-Za-z]\\w*)(?:\\.([A-Za-z]\\w*))?`")

// link is a Markdown link to a file of the repository.
var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestDocuments wants every symbol that ARCHITECTURE.md names to exist, so that it never tells of code that is gone,
// and every file that a document links to.
func TestDocuments(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range symbol.FindAllStringSubmatch(string(text), -1) {
		dir := filepath.Join(root, "internal", m[1])
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue // a file name or a word of the Kubernetes API
		}
		named++
		if !declared(t, dir, m[2], m[3]) {
			t.Errorf("ARCHITECTURE.md names %s, and internal/%s declares no such thing", m[0], m[1])
		}
	}
	if named < 20 {
		t.Errorf("ARCHITECTURE.md names only %d symbols", named)
	}
	documents, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append(documents, more...) {
		checkLinks(t, document)
	}
}

func checkLinks(t *testing.T, document string) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range link.FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(document), m[1])); err != nil {
			t.Errorf("%s links to %s: %v", filepath.Base(document), m[1], err)
		}
	}
}

// declared tells whether the package in dir declares name, and method for it when that is given: a method, a field of a
// struct or a method of an interface.
func declared(t *testing.T, dir, name, method string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			if declares(declaration, name, method) {
				return true
			}
		}
	}
	return false
}

func declares(declaration ast.Decl, name, method string) bool {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if method == "" {
			return d.Recv == nil && d.Name.Name == name
		}
		return d.Recv != nil && d.Name.Name == method && receiver(d) == name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.Name == name && (method == "" || member(s.Type, method)) {
					return true
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if method == "" && n.Name == name {
						return true
					}
				}
			}
		}
	}
	return false
}

func receiver(f *ast.FuncDecl) string {
	kind := f.Recv.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func member(kind ast.Expr, name string) bool {
	var fields *ast.FieldList
	switch k := kind.(type) {
	case *ast.StructType:
		fields = k.Fields
	case *ast.InterfaceType:
		fields = k.Methods
	default:
		return false
	}
	for _, field := range fields.List {
		for _, n := range field.Names {
			if n.Name == name {
				return true
			}
		}
	}
	return false
}

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logged writes chunks to a log of its own, and returns what its lines say, each as tag and text.
func logged(t *testing.T, chunks ...[]byte) (texts []string) {
	t.Helper()
	b, err := newBuffers()
	if err != nil {
		t.Fatal(err)
	}
	f := logFile{path: filepath.Join(t.TempDir(), "log"), buf: b.lines}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	s := lines{stream: "stdout"}
	for _, c := range chunks {
		s.write(&f, c)
	}
	s.end(&f)
	content, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		stamp, rest, _ := strings.Cut(line, " ")
		stream, rest, _ := strings.Cut(rest, " ")
		if len(stamp) < len("2006-01-02T15:04:05Z") || stream != "stdout" {
			t.Fatalf("line %.60q", line)
		}
		texts = append(texts, strings.TrimSuffix(rest, "\n"))
	}
	return texts
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for name, c := range map[string]struct{ written, want []string }{
		"whole":              {[]string{"a\nb\n"}, []string{"F a", "F b"}},
		"empty line":         {[]string{"\n"}, []string{"F "}},
		"in pieces":          {[]string{"a", "b", "\nc\n"}, []string{"F ab", "F c"}},
		"no end":             {[]string{"a"}, []string{"P a"}},
		"as long as allowed": {[]string{long + "\n"}, []string{"F " + long}},
		"the same, no end":   {[]string{long}, []string{"P " + long}},
		"too long":           {[]string{long + "y\n"}, []string{"P " + long, "F y"}},
		"too long in pieces": {[]string{"a", long + "\n"}, []string{"P a" + long[1:], "F x"}},
	} {
		t.Run(name, func(t *testing.T) {
			var chunks [][]byte
			for _, w := range c.written {
				chunks = append(chunks, []byte(w))
			}
			if got := logged(t, chunks...); strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("got %.80q, want %.80q", got, c.want)
			}
		})
	}
}

// TestLinesLoseNothing writes random text, cut anywhere, much of it in lines so short that a log of it is many times as
// large.
func TestLinesLoseNothing(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var text []byte
	for len(text) < 1<<20 {
		text = append(text, bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(1<<random.IntN(17)))...)
		text = append(text, bytes.Repeat([]byte{'\n'}, random.IntN(1<<random.IntN(12)))...)
	}
	var chunks [][]byte
	for rest := text; len(rest) > 0; {
		n := min(1+random.IntN(pipeSize), len(rest))
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	var got bytes.Buffer
	for _, line := range logged(t, chunks...) {
		tag, content := line[0], line[2:]
		if len(content) > maxLine {
			t.Fatalf("a line of %d bytes", len(content))
		}
		got.WriteString(content)
		if tag == 'F' {
			got.WriteByte('\n')
		}
	}
	if !bytes.Equal(got.Bytes(), text) {
		t.Errorf("seed %d: the log of %d bytes holds %d others", seed, len(text), got.Len())
	}
}

package main

import (
	"errors"
	"strings"
	"testing"
)

func TestPercentile(t *testing.T) {
	samples := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for p, want := range map[float64]float64{50: 5, 99: 10, 10: 1, 0: 1, 100: 10} {
		if got := percentile(samples, p); got != want {
			t.Errorf("p%g is %g, want %g", p, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var b bench
	b.add("fast", "ms", []float64{3, 1, 2}, atMost(2), atMost(5))
	b.add("slow", "ms", []float64{30, 10, 20}, atMost(2), nil)
	b.single("throughput", "MB/s", 200, atLeast(150))
	b.single("size", "MB", 200, nil)
	b.fail("exec", errors.New("it | ended\nearly"))
	b.lack("another", errors.New("no cgroups"))
	if b.missed() != 2 {
		t.Errorf("%d missed", b.missed())
	}
	var out strings.Builder
	b.print(&out)
	for _, line := range []string{
		"| fast, ms | 3 | 2 | ≤ 2 | 3 | ≤ 5 | met |", "| slow, ms | 3 | 20.0 | ≤ 2 | 30.0 | – | **missed** |",
		"| throughput, MB/s | 1 | 200 | ≥ 150 | – | – | met |", "| size, MB | 1 | 200 | – | – | – |  |",
		"| exec | – | – | – | – | – | **failed**: it \\| ended |",
		"| another | – | – | – | – | – | does not run here: no cgroups |",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}

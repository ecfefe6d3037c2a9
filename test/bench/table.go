package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// target is what a figure is held against.
type target struct {
	limit float64
	// least is true for a figure that must not be lower.
	least bool
}

func atMost(limit float64) *target  { return &target{limit: limit} }
func atLeast(limit float64) *target { return &target{limit: limit, least: true} }

func (t *target) met(value float64) bool {
	return t == nil || t.least && value >= t.limit || !t.least && value <= t.limit
}

func (t *target) String() string {
	switch {
	case t == nil:
		return "–"
	case t.least:
		return fmt.Sprintf("≥ %g", t.limit)
	default:
		return fmt.Sprintf("≤ %g", t.limit)
	}
}

// row is one line of the table: a figure measured n times.
type row struct {
	name, unit        string
	n                 int
	median, p99       float64
	middle, extremity *target
	// failure is why the thing could not be measured.
	failure error
	// missing is why something that is only compared with is not there.
	missing error
}

func (r row) met() bool {
	return r.failure == nil && r.middle.met(r.median) && r.extremity.met(r.p99)
}

// add puts a row of samples; its targets are of the median and the 99th percentile, and may be nil.
func (b *bench) add(name, unit string, samples []float64, median, p99 *target) {
	slices.Sort(samples)
	b.rows = append(b.rows, row{
		name: name, unit: unit, n: len(samples), median: percentile(samples, 50), p99: percentile(samples, 99), middle: median, extremity: p99,
	})
}

// fail puts a row for what could not be measured.
func (b *bench) fail(name string, err error) { b.rows = append(b.rows, row{name: name, failure: err}) }

// lack puts a row for something to compare with that does not run here.
func (b *bench) lack(name string, err error) { b.rows = append(b.rows, row{name: name, missing: err}) }

// failed counts what could not be measured.
func (b *bench) failed() int {
	failed := 0
	for _, r := range b.rows {
		if r.failure != nil {
			failed++
		}
	}
	return failed
}

func (b *bench) single(name, unit string, value float64, want *target) {
	b.add(name, unit, []float64{value}, want, nil)
}

// percentile takes sorted samples, and returns the smallest that p percent of them do not exceed.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *bench) missed() int {
	missed := 0
	for _, r := range b.rows {
		if !r.met() {
			missed++
		}
	}
	return missed
}

// print writes the table in Markdown.
func (b *bench) print(w io.Writer) {
	if len(b.rows) == 0 {
		return
	}
	fmt.Fprintln(w, "| figure | runs | p50 | target | p99 | target | |\n|---|---:|---:|---:|---:|---:|---|")
	for _, r := range b.rows {
		if r.failure != nil {
			fmt.Fprintf(w, "| %s | – | – | – | – | – | **failed**: %s |\n", r.name, firstLine(r.failure))
			continue
		}
		if r.missing != nil {
			fmt.Fprintf(w, "| %s | – | – | – | – | – | does not run here: %s |\n", r.name, firstLine(r.missing))
			continue
		}
		p99 := "–"
		if r.n > 1 {
			p99 = number(r.p99)
		}
		verdict := "met"
		switch {
		case r.middle == nil && r.extremity == nil:
			verdict = ""
		case !r.met():
			verdict = "**missed**"
		}
		fmt.Fprintf(w, "| %s, %s | %d | %s | %s | %s | %s | %s |\n", r.name, r.unit, r.n, number(r.median), r.middle, p99, r.extremity, verdict)
	}
}

// firstLine is what of an error fits into a table; all of it is on standard error.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.ReplaceAll(line, "|", "\\|")
}

// number prints three significant digits or whole numbers.
func number(value float64) string {
	if value >= 100 {
		return fmt.Sprintf("%.0f", value)
	}
	text := fmt.Sprintf("%.2f", value)
	if value >= 10 {
		text = fmt.Sprintf("%.1f", value)
	}
	return strings.TrimSuffix(text, ".00")
}

package image

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// display shows how a pull goes on.
type display interface {
	step(image.Progress)
	end()
}

// newDisplay redraws a line per layer on a terminal, and elsewhere prints a line when a layer's state changes.
func newDisplay(out io.Writer) display {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &drawing{out: out, file: f, at: map[string]int{}}
	}
	return &journal{out: out, last: map[string]string{}}
}

type discard struct{}

func (discard) step(image.Progress) {}
func (discard) end()                {}

// journal is for files and pipes.
type journal struct {
	out  io.Writer
	last map[string]string
}

func (j *journal) step(p image.Progress) {
	if j.last[p.ID] == p.Status {
		return
	}
	j.last[p.ID] = p.Status
	fmt.Fprintln(j.out, line(p, 0))
}

func (j *journal) end() {}

// drawing is for terminals: layers keep their lines in the order in which they came up.
type drawing struct {
	out   io.Writer
	file  *os.File
	lines []image.Progress
	at    map[string]int
	drawn int
}

func (d *drawing) step(p image.Progress) {
	if p.ID == "" {
		return
	}
	i, ok := d.at[p.ID]
	if !ok {
		i = len(d.lines)
		d.at[p.ID] = i
		d.lines = append(d.lines, p)
	}
	d.lines[i] = p
	d.draw()
}

func (d *drawing) draw() {
	width, height, err := term.GetSize(int(d.file.Fd()))
	if err != nil {
		width, height = 80, 25
	}
	shown := d.lines[max(0, len(d.lines)-height+1):]
	var b strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", d.drawn)
	}
	for _, p := range shown {
		text := line(p, 24)
		if len(text) >= width {
			text = text[:width-1]
		}
		fmt.Fprintf(&b, "\r\x1b[2K%s\n", text)
	}
	d.drawn = len(shown)
	fmt.Fprint(d.out, b.String())
}

func (d *drawing) end() {}

// line writes a step, with a bar of so many cells when there is one to draw.
func line(p image.Progress, bar int) string {
	text := p.Status
	if p.ID != "" {
		text = p.ID + ": " + text
	}
	if p.Total <= 0 || p.Current <= 0 {
		return text
	}
	if bar > 0 && p.Current < p.Total {
		full := int(p.Current * int64(bar) / p.Total)
		text += " [" + strings.Repeat("=", full) + strings.Repeat(" ", bar-full) + "]"
	}
	return fmt.Sprintf("%s %s/%s", text, size(p.Current), size(p.Total))
}

// size writes bytes as Docker does, in powers of a thousand.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%dB", n)
	}
	value, suffix := float64(n), ""
	for _, s := range []string{"kB", "MB", "GB", "TB"} {
		value, suffix = value/unit, s
		if value < unit {
			break
		}
	}
	return fmt.Sprintf("%.3g%s", value, suffix)
}

// short is an ID as people write it.
func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

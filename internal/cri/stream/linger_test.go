package stream

import (
	"testing"
	"time"
)

func TestLingerLeft(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, test := range map[string]struct {
		in, out time.Duration // before now; negative is never
		want    time.Duration
	}{
		"nothing typed":              {-1, 0, 0},
		"piped command":              {0, -1, lingerQuiet},
		"answer under way":           {800 * time.Millisecond, 100 * time.Millisecond, 900 * time.Millisecond},
		"answered":                   {2 * time.Second, 1500 * time.Millisecond, -500 * time.Millisecond},
		"endless output":             {4500 * time.Millisecond, 0, 500 * time.Millisecond},
		"person leaves busy program": {time.Minute, 0, 5*time.Second - time.Minute},
	} {
		var l linger
		if test.in >= 0 {
			l.in.Store(now.Add(-test.in).UnixNano())
		}
		if test.out >= 0 {
			l.out.Store(now.Add(-test.out).UnixNano())
		}
		if got := l.left(now); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

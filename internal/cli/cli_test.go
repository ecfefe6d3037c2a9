package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestErrorsOfTheCommandLineSayWhatIsWanted(t *testing.T) {
	for args, want := range map[string]string{
		"image import":      "usage: mayfly image import FILE|DIR|- [flags]",
		"image remove":      "usage: mayfly image remove",
		"down --frobnicate": "unknown flag: --frobnicate; see `mayfly down --help`",
		"up now":            "usage: mayfly up",
	} {
		var out, errOut bytes.Buffer
		code := Run(t.Context(), append([]string{"mayfly"}, strings.Fields(args)...), strings.NewReader(""), &out, &errOut)
		if code != 1 || !strings.Contains(errOut.String(), want) {
			t.Errorf("mayfly %s: %d, %s", args, code, &errOut)
		}
	}
}

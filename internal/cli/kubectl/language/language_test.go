package language

import "testing"

func TestEnglish(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing said":        {nil, true},
		"no language":         {map[string]string{"LANG": "C.UTF-8"}, true},
		"English":             {map[string]string{"LANG": "en_GB.UTF-8"}, true},
		"Japanese":            {map[string]string{"LANG": "ja_JP.UTF-8"}, false},
		"messages go before":  {map[string]string{"LANG": "ja_JP.UTF-8", "LC_MESSAGES": "POSIX"}, true},
		"all goes before all": {map[string]string{"LANG": "C", "LC_MESSAGES": "C", "LC_ALL": "de_DE.UTF-8"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := english(func(name string) string { return test.env[name] }); got != test.want {
				t.Errorf("english is %v", got)
			}
		})
	}
}

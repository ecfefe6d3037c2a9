// Package language keeps kubectl's library from unpacking its translations where English is spoken. Its packages ask
// for translated texts while the program starts, whatever verb it was started for, and that took a third of the time.
//
// It has to be initialized before them. That it is rests on its import path, which sorts before theirs: Go initializes
// packages that do not depend on each other in that order.
package language

import (
	"os"
	"strings"

	"k8s.io/kubectl/pkg/util/i18n"
)

// Err is not nil when this package came too late, and the translations were loaded already.
var Err = i18n.SetLoadTranslationsFunc(func() error {
	if english(os.Getenv) {
		return nil // the texts in the code are English
	}
	return i18n.LoadTranslations("kubectl", nil)
})

// english tells whether the environment asks for no other language.
func english(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := env(name); locale != "" {
			return locale == "C" || locale == "POSIX" || strings.HasPrefix(locale, "C.") || strings.HasPrefix(locale, "en")
		}
	}
	return true
}

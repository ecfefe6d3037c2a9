// Package setting reads what a person may say of tests in the environment: how often, how long, from which seed.
package setting

import (
	"os"
	"strconv"
	"testing"
)

// Number is the variable's value, or otherwise where it is not set. Anything but a number fails the test.
func Number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

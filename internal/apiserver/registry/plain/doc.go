// Package plain describes the resources that need nothing but rules: each is a registry.Kind of a few lines, by API
// group.
package plain

// Package registry makes the storage of API resources from short descriptions.
//
// A [Kind] says what is particular about a resource: names, scope, rules, what its status subresource may change.
// [New] makes of it a [Storage], with everything else as every Kubernetes resource has it: strict fields, dry-run,
// managed fields, generation, selectors, tables, garbage collection policy. Resources with life cycles of their own
// (Pods, Namespaces, …) live in packages below and use this one.
package registry

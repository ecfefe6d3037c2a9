// Package defaults fills in what a client left out of an object, with the values that kube-apiserver 1.37 chooses.
//
// Every function is pure, works in place on the external types and is idempotent, so that the same function serves
// decoding from a client and from storage. Register binds all of them to a scheme. Values that an admission plugin
// chooses (service account, priority, tolerations) are not defaults and have no place here.
package defaults

// Package storage keeps API objects in etcd, either one inside this process or one elsewhere.
//
// The etcd inside has one member and no listeners: the storage layer calls it through function calls. Its ticks are
// short, since there is nobody to hold an election with, its WAL segments small, and it syncs every write to disk.
package storage

// Package printer draws objects as the tables that kubectl shows, with kube-apiserver's columns and words.
//
// Start at [New]: it makes the rest.TableConvertor of a resource. Kinds without a table of their own get the generic
// one, which shows the name and the age.
package printer

// Package log reads the log files that a CRI runtime writes, and rotates them.
//
// A line of such a file is one entry (kubernetes/community, kubelet-cri-logging):
//
//	2016-10-06T00:17:09.669794202Z stdout P The first part of a long line,
//	2016-10-06T00:17:09.669794202Z stdout F  and its end.
//
// [Parse] reads one, [Read] a file with everything that `kubectl logs` can ask for, [Rotator] keeps files small.
package log

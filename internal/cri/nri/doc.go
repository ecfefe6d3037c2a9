// Package nri lets plugins of the Node Resource Interface have a say in Pods and containers: they connect to a socket, are
// told what is there and what becomes of it, and may change a container before it is made, the limits of those that run, or
// refuse either. See https://github.com/containerd/nri.
//
// Nothing that a plugin is asked about can be seen by anybody else until it has answered. A plugin that takes longer than
// five seconds, or dies, is cut off, and things go on without it. Only its refusal of a Pod or a container in the making
// stops that; what has begun to end is not held up.
//
// One event is on its way at a time. Whoever makes something holds off plugins that connect meanwhile
// ([Plugins.HoldOff]), so that each learns of everything once: when it connects, or by an event.
//
// Start at [New]. A nil *Plugins is one of a runtime without NRI, and does nothing.
package nri

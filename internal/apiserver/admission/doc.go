// Package admission holds the rules that look at requests rather than at objects alone: what a namespace, a service
// account, a priority or a policy adds to an object or refuses.
//
// New puts the plugins in upstream's order. All that look at containers walk over init, regular and ephemeral ones
// alike, through one visitor.
package admission

// Package network connects Pods: a bridge per instance, a veth pair and addresses per Pod, masquerade and host ports by
// nftables in a table of the instance's own. Nothing is executed and iptables is not needed. Where CNI is configured, its
// plugins do all of that instead, by the configuration that is there when a Pod is made.
//
// Start at Network. The order of use:
//
//	n, err := network.New(ctx, cfg)             // bridge, table, forwarding; refuses a network that the host routes
//	n.Reconcile(ctx, living)                    // once after a restart: forget what is gone, keep what lives
//	res, err := n.Setup(ctx, sandbox)           // before the first container
//	n.Teardown(ctx, id, netns)                  // idempotent; before the namespace is unmounted
//	network.Purge(ctx, cfg)                     // `mayfly down`
//
// Which Pod has which address is kept in Config.StateDir, a file per Pod, written before the kernel is told, so that a
// crash at any point neither loses an address nor gives one out twice.
package network

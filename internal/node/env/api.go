package env

import (
	"net/netip"
	"strconv"
)

// API is where containers find the API server, as client libraries look for it: what a cluster says of its Service
// "kubernetes". address is where the API server listens, node the address of the node. It is empty where a Pod cannot get
// there: an address of the loopback is the host's alone.
func API(address netip.AddrPort, node string, hostNetwork bool) map[string]string {
	host := address.Addr().String()
	switch {
	case !address.IsValid() || address.Addr().IsLoopback() && !hostNetwork:
		return nil
	case address.Addr().IsUnspecified():
		host = node
	}
	port := strconv.Itoa(int(address.Port()))
	return map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "KUBERNETES_SERVICE_PORT_HTTPS": port}
}

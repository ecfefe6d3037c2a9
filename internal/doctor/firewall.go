package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// checkFirewall looks for chains of the host that drop what is forwarded unless they know it. A packet must be accepted
// by every chain of a hook, so the instance's own table cannot overrule them.
func checkFirewall(_ context.Context, cfg Config) Finding {
	if os.Geteuid() != 0 {
		return ok("not looked at without root")
	}
	conn, err := nftables.New()
	if err != nil {
		return warning("", "open nftables: %v", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return warning("", "list nftables chains: %v", err)
	}
	bridge := ownBridge(cfg.DataDir)
	var dropping, remedies []string
	for _, chain := range chains {
		if !dropsForwarded(chain) {
			continue
		}
		rules, err := conn.GetRules(chain.Table, chain)
		if err == nil && accepts(rules, bridge) {
			continue
		}
		name := fmt.Sprintf("%s %s %s", family(chain.Table.Family), chain.Table.Name, chain.Name)
		dropping = append(dropping, name)
		for _, direction := range []string{"iifname", "oifname"} {
			remedies = append(remedies, fmt.Sprintf("nft insert rule %s %s %s accept", name, direction, bridge))
		}
	}
	if len(dropping) > 0 {
		return warning(strings.Join(remedies, " && "), "the policy of %s is to drop, which may cut Pods off from the world", strings.Join(dropping, " and of "))
	}
	return ok("nothing of the host's drops what Pods send")
}

// dropsForwarded tells whether a chain sees forwarded packets of IP and drops those that no rule of it accepts.
func dropsForwarded(chain *nftables.Chain) bool {
	return chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward &&
		chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop && family(chain.Table.Family) != ""
}

// accepts tells whether a rule that accepts compares with the bridge, or with all that begin as it does.
func accepts(rules []*nftables.Rule, bridge string) bool {
	for _, rule := range rules {
		named, accepted := false, false
		for _, e := range rule.Exprs {
			switch e := e.(type) {
			case *expr.Cmp:
				interfaces := bytes.TrimRight(e.Data, "\x00")
				named = named || len(interfaces) >= len("mf-") && strings.HasPrefix(bridge, string(interfaces))
			case *expr.Verdict:
				accepted = accepted || e.Kind == expr.VerdictAccept
			}
		}
		if named && accepted {
			return true
		}
	}
	return false
}

// family is a table's family as nft writes it, empty for those that Pods' packets do not pass.
func family(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyINet:
		return "inet"
	default:
		return ""
	}
}

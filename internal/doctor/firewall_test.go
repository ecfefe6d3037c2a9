package doctor

import (
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// TestFirewall asks about chains in a network namespace of its own.
func TestFirewall(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	for name, c := range map[string]struct {
		policy nftables.ChainPolicy
		hook   *nftables.ChainHook
		accept string
		ok     bool
	}{
		"accepting":                {policy: nftables.ChainPolicyAccept, hook: nftables.ChainHookForward, ok: true},
		"dropping":                 {policy: nftables.ChainPolicyDrop, hook: nftables.ChainHookForward},
		"dropping input":           {policy: nftables.ChainPolicyDrop, hook: nftables.ChainHookInput, ok: true},
		"accepting the bridge":     {policy: nftables.ChainPolicyDrop, hook: nftables.ChainHookForward, accept: ownBridge(cfg.DataDir) + "\x00", ok: true},
		"accepting every mf-":      {policy: nftables.ChainPolicyDrop, hook: nftables.ChainHookForward, accept: "mf-", ok: true},
		"accepting another bridge": {policy: nftables.ChainPolicyDrop, hook: nftables.ChainHookForward, accept: "docker0\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			var f Finding
			err := inNamespaces(unix.CLONE_NEWNET, func() error {
				conn, err := nftables.New()
				if err != nil {
					return err
				}
				table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"})
				chain := conn.AddChain(&nftables.Chain{
					Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter, Hooknum: c.hook,
					Priority: nftables.ChainPriorityFilter, Policy: &c.policy,
				})
				if c.accept != "" {
					conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
						&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
						&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(c.accept)},
						&expr.Verdict{Kind: expr.VerdictAccept},
					}})
				}
				if err := conn.Flush(); err != nil {
					return err
				}
				f = checkFirewall(t.Context(), cfg)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if f.OK != c.ok || f.Fatal {
				t.Errorf("%+v", f)
			}
		})
	}
}
